/** What many calls in flight at once do to the event loop of the process that awaits them. */
import type { Flight } from "../client.ts";
import { type Runtime, runtimeNames, startCeleriac, startCeleriacClient } from "../contestants/celeriac.ts";
import { short } from "../figures.ts";
import type { Outcome, Part, Setting } from "../part.ts";
import { BenchRabbitmq } from "../rabbitmq_server.ts";
import { takeTurns } from "../rounds.ts";
import { median, percentile } from "../statistics.ts";

const CALLS = 10_000;
const FULL = { rounds: 5, seconds: 60 };
const QUICK = { rounds: 2, seconds: 10 };

export const inFlight: Part = {
  name: "in_flight",
  title: "10,000 calls in flight from one process: how late its event loop is",
  inQuick: false,
  limit: 180,
  run,
};

async function run({ quick, redis, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const rabbitmq = await BenchRabbitmq.start();
  try {
    const callers = (["deno", "bun"] as const).flatMap((runtime, db) => [
      caller(`Redis, ${runtimeNames[runtime]}`, runtime, redis.url(db)),
      caller(`RabbitMQ, ${runtimeNames[runtime]}`, runtime, rabbitmq.url),
    ]);
    const flights = await takeTurns(
      sizes.rounds,
      sizes.seconds,
      callers.map(({ name, fly }) => async () => {
        const flight = await fly();
        say(`${name}: ${flight.seconds.toFixed(2)} s, late ${short(Math.max(...flight.late))} ms at most`);
        return flight;
      }),
    );
    const over = (pick: (flight: Flight) => number, i: number) => short(median(flights[i].map(pick)));
    return {
      columns: ["", "all values, s", "making the calls, ms", "late, p50, ms", "late, p99, ms", "latest, ms"],
      rows: callers.map(({ name }, i) => [
        name,
        over(({ seconds }) => seconds, i),
        over(({ calling }) => calling, i),
        over(({ late }) => percentile(late, 0.5), i),
        over(({ late }) => percentile(late, 0.99), i),
        over(({ late }) => Math.max(...late), i),
      ]),
      targets: [],
      ratios: `10,000 in flight: latest tick ${
        callers.map(({ name }, i) => `${over(({ late }) => Math.max(...late), i)} ms (${name})`).join(", ")
      }`,
      notes: [
        `One process calls \`add\` ${
          CALLS.toLocaleString("en-US")
        } times in one turn of its event loop and awaits all ` +
        "values, from one worker on the same machine; meanwhile a timer of 2 ms says by how much it is late. Making the " +
        "calls is one turn, and the latest tick comes after it. Medians of the rounds, the first ones included.",
      ],
      rounds: callers.map(({ name }, i) => ({ name, flights: flights[i] })),
    };
  } finally {
    await rabbitmq.stop();
  }
}

/** A caller with its own worker, which are started for each round. */
function caller(name: string, runtime: Runtime, url: string): { name: string; fly(): Promise<Flight> } {
  return {
    name,
    async fly() {
      const worker = startCeleriac(runtime, url);
      const client = startCeleriacClient(runtime, url);
      // Both are ready, and connected.
      await client.call({ pauses: [0] });
      const flight = await client.flight(CALLS);
      await client.stop();
      await worker.kill();
      return flight;
    },
  };
}
