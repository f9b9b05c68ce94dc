/**
 * The timer hub alone: `timers.ts hub COUNT`, `timers.ts port COUNT`, `timers.ts timeout COUNT` (a plain setTimeout for
 * each), and `timers.ts late URL RATE SECONDS [taken]`, how late timers are handed out whose messages go to a broker, and are
 * taken from it in this process if that is said. Prints one line of JSON.
 */
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../runtime/clock.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import { Hub } from "../../runtime/hub/hub.ts";
import { HubEnd, type HubHost, type HubPlace, type HubRequest } from "../../runtime/hub/port.ts";
import { writeTimerCall } from "../../runtime/hub/timer_call.ts";
import { uid } from "../../runtime/protocol/uid.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import type { Settlement, Transport } from "../../runtime/transport/transport.ts";
import { WorkerTimers } from "../../runtime/worker/timers.ts";
import { percentile } from "../statistics.ts";

const [what, ...args] = process.argv.slice(2);
/** Timers are due within an hour, but not while this runs. */
const SOONEST_MS = 600_000;
const SPAN_MS = 3_600_000;
const BATCH = 256;
/** What setting them may take, in ms: so much, and so much for each. */
const AHEAD = { all: 2_000, each: 0.02 };
/** Timers that are due first, at half the rate, so that what is measured is a process that has run for a while; and a pause. */
const WARM_UP = { timers: 20_000, pause: 500 };

const runs: Readonly<Record<string, () => Promise<unknown>>> = {
  hub: () => setAndCancel(Number(args[0]), hubOf()),
  timeout: () => setAndCancel(Number(args[0]), timeouts()),
  port: () => throughPort(Number(args[0])),
  late: () => late(args[0], Number(args[1]), Number(args[2]), args[3] === "taken"),
};
console.log(JSON.stringify(await runs[what]()));
process.exit(0);

/** What is measured: setting and cancelling one timer. */
interface Contestant {
  set(number: number, ms: number, text: string): void;
  cancel(number: number): void;
}

function hubOf(): Contestant {
  const hub = new Hub(systemClock, () => {});
  return {
    set: (number, ms, text) =>
      hub.set({ number, due: performance.now() + ms, every: 0, isWallTime: false, text }),
    cancel: (number) => void hub.cancel(number),
  };
}

/** The plain way: a timer of the runtime for each, with what it is to say, found by its number. */
function timeouts(): Contestant {
  const handles = new Map<number, ReturnType<typeof setTimeout>>();
  return {
    set(number, ms, text) {
      const due = () => {
        handles.delete(number);
        if (text === "") throw new Error("no text");
      };
      handles.set(number, setTimeout(due, ms));
    },
    cancel(number) {
      clearTimeout(handles.get(number));
      handles.delete(number);
    },
  };
}

/** Texts as they come from isolates: copied, each of its own. */
function textsOf(count: number): string[] {
  const parentId = uid();
  const texts: string[] = [];
  while (texts.length < count) {
    const batch: string[] = [];
    for (let i = 0; i < BATCH && texts.length + i < count; i++) {
      const call = { task: "callbacks.notify", args: [texts.length + i], kwargs: {}, options: {} };
      batch.push(writeTimerCall({ ...call, parentId, rootId: parentId }));
    }
    for (const text of structuredClone(batch)) texts.push(text);
  }
  return texts;
}

async function setAndCancel(count: number, contestant: Contestant): Promise<unknown> {
  // Once to be warm.
  const some = textsOf(20_000);
  for (let i = 0; i < some.length; i++) contestant.set(i + 1, SOONEST_MS + delay(i), some[i]);
  for (let i = 0; i < some.length; i++) contestant.cancel(i + 1);
  some.length = 0;

  const before = await memory();
  const texts = textsOf(count);
  let began = performance.now();
  for (let i = 0; i < count; i++) {
    contestant.set(i + 1, SOONEST_MS + delay(i), texts[i]);
  }
  const setting = performance.now() - began;
  texts.length = 0;
  const bytes = (await memory() - before) / count;
  began = performance.now();
  for (let i = 0; i < count; i++) contestant.cancel(1 + (i * 7919) % count);
  const cancelling = performance.now() - began;
  return { set: count / setting * 1000, cancel: count / cancelling * 1000, bytes };
}

/** Spread over an hour, in no order. */
function delay(i: number): number {
  return (Math.imul(i, 2654435761) >>> 0) / 2 ** 32 * SPAN_MS;
}

/** Bytes in use after a collection of garbage. */
async function memory(): Promise<number> {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  for (let i = 0; i < 3; i++) {
    gc?.();
    Bun?.gc(true);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage().rss;
}

async function throughPort(count: number): Promise<unknown> {
  const hub = new Hub(systemClock, () => {});
  const host: HubHost = {
    hub,
    get room() {
      return count - hub.size;
    },
    newEnd: () => 2,
    keep: () => Promise.reject(new Error("not here")),
    cancelElsewhere: () => Promise.reject(new Error("not here")),
  };
  const place: HubPlace = { hub: uid(), end: 1, limit: count };
  const { port1, port2 } = new MessageChannel();
  const end = new HubEnd(place, host, () => performance.now(), (answer) => port1.postMessage(answer));
  port1.onmessage = ({ data }: MessageEvent<HubRequest>) => end.hear(data);
  const worker = new Worker(new URL("./timers_isolate.ts", import.meta.url), { type: "module" });
  const result = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
  worker.postMessage({ place, port: port2, count }, [port2]);
  const outcome = await result;
  if (hub.size !== 0) throw new Error(`${hub.size} timers are left`);
  worker.terminate();
  return outcome;
}

/**
 * Hands out `rate` timers a second; their messages go to a broker, or with "timeout" there is a plain setTimeout for each.
 * `isTaken`: they are taken from the broker and settled as a worker's main thread does, and not run.
 */
async function late(url: string, rate: number, seconds: number, isTaken: boolean): Promise<unknown> {
  const measured = rate * seconds;
  const count = WARM_UP.timers + measured;
  const lates = new Float64Array(count);
  let handed = 0;
  const all = Promise.withResolvers<void>();
  const handedOut = (late: number) => {
    lates[handed++] = late;
    if (handed === count) all.resolve();
  };
  const texts = textsOf(count);
  const warm = performance.now() + AHEAD.all + count * AHEAD.each;
  const start = warm + WARM_UP.timers / rate * 2000 + WARM_UP.pause;
  const dueOf = (i: number) =>
    i < WARM_UP.timers ? warm + i / rate * 2000 : start + (i - WARM_UP.timers) / rate * 1000;
  // In no order, as tasks set them.
  const order = Array.from({ length: count }, (_, i) => (i * 7919) % count);
  let published = () => Promise.resolve();
  if (url === "timeout") {
    for (const i of order) {
      const due = dueOf(i);
      setTimeout(() => handedOut(performance.now() - due), due - performance.now());
    }
  } else {
    const transport = await transportOf(url);
    if (isTaken) void takeAll(transport);
    const timers = timersOn(url, transport, handedOut);
    order.forEach((i, at) =>
      timers.hub.set({ number: at + 1, due: dueOf(i), every: 0, isWallTime: false, text: texts[i] })
    );
    published = () => timers.idle();
  }
  if (performance.now() > warm) throw new Error("setting them took too long");
  await all.promise;
  await published();
  const took = (performance.now() - start) / 1000;
  const each = [...lates.subarray(WARM_UP.timers)];
  return {
    p50: percentile(each, 0.5),
    p99: percentile(each, 0.99),
    most: percentile(each, 1),
    published: measured / took,
  };
}

async function transportOf(url: string): Promise<Transport> {
  const { brokerUrl, brokerTransportOptions } = settingsOf(url);
  const transport = await openTransport(brokerUrl, {
    ...brokerTransportOptions,
    clock: systemClock,
    random: Math.random,
  });
  await transport.connect();
  await transport.declare(["celery"]);
  return transport;
}

async function takeAll(transport: Transport): Promise<never> {
  const nothing = () => {};
  const events = { lost: nothing, dead: nothing, restored: nothing, trouble: nothing, away: nothing };
  const receiver = await transport.receive({ queues: ["celery"], worker: "bench", events });
  const { signal } = new AbortController();
  for (let settlements: Settlement[] = [];;) {
    const deliveries = await receiver.exchange(settlements, BATCH);
    settlements = deliveries.map((delivery) => ({ delivery, outcome: "ack" }));
    await (deliveries.length === 0 ? receiver.arrival(signal) : setImmediate());
  }
}

function settingsOf(url: string) {
  return resolveSettings({ from: "the bench", settings: { brokerUrl: url } });
}

function timersOn(url: string, transport: Transport, handedOut: (late: number) => void): WorkerTimers {
  return new WorkerTimers({
    settings: settingsOf(url),
    hostname: "celery@bench",
    clock: systemClock,
    transport: () => transport,
    optionsOf: () => undefined,
    retry: (run) => run(),
    revoke: () => Promise.resolve(),
    handedOut,
  });
}
