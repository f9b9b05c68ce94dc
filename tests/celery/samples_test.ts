/** Captured messages of Celery 5.2, put on a list byte for byte as it wrote them and run by our worker. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { App, type DecodedResult, TaskError } from "../../mod.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { run } from "../servers/worker.ts";
import { describeValue } from "./describe.ts";

interface Sample {
  readonly name: string;
  /** Key to messages, the newest first. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

/** Chords count their parts, which celeriac refuses to do so far. */
const workflows = ["chord", "chain_group_chain"];

/** What becomes of a sample: the value of each of its messages, as JavaScript sees it; 3 where nothing else is said. */
const outcomes: Readonly<Record<string, readonly string[] | "dead" | "no result">> = {
  unicode: ['"h\u00e9\u2603"'],
  // LRANGE's order: the one that was sent last first.
  group: ["4", "2"],
  chunks: ["[6]", "[2, 4]"],
  map: ["[3, 7]"],
  starmap: ["[3, 7]"],
  ignore_result: "no result",
  json_types: [
    '["2030-01-02T03:04:05.678901Z", "2030-01-02T00:00:00", "03:04:05.678901", ' +
    '"00000000-0000-0000-0000-000000000007", "1.50"]',
  ],
  pickle: "dead",
  yaml: "dead",
  compression_bzip2: "dead",
};

describe("Captured messages of Celery 5.2", () => {
  let server: RedisServer;

  before(async () => {
    server = await startRedis();
  });

  after(async () => {
    await server?.stop();
  });

  for (const protocol of [1, 2]) {
    describe(`protocol ${protocol}`, () => {
      let samples: Sample[];
      let app: App;
      let redis: Redis;
      const dead = new Map<string, string>();

      before(async () => {
        const url = server.url.replace(/\/0$/, `/${protocol}`);
        const file = new URL(`../samples/redis_messages_protocol${protocol}.json`, import.meta.url);
        samples = JSON.parse(await readFile(file, "utf8")).samples;
        samples = samples.filter(({ name }) => !workflows.includes(name));
        redis = new Redis(url);
        app = new App({ broker: url });
        for (const { lists } of samples) {
          for (const [key, messages] of Object.entries(lists)) {
            await redis.lpush(key, ...[...messages].reverse());
          }
        }
        const args = [
          "-A",
          "tests/celery/tasks/tasks.ts",
          "-b",
          url,
          "-Q",
          "celery,other",
          "-c",
          "1",
          "--drain",
        ];
        const { code, stderr } = await run(["worker", ...args]);
        assert.equal(code, 0, stderr);
        for (const { body, reason } of await (await app.transport()).deadLetters("celery", 100)) {
          dead.set(new TextDecoder().decode(body), reason);
        }
      });

      after(async () => {
        redis?.disconnect();
        await app?.disconnect();
      });

      it("all went their way: none is ready, none is held", async () => {
        const lengths = await (await app.transport()).lengths(["celery", "other"]);
        assert.deepEqual(lengths.map(({ ready, unacked }) => [ready, unacked]), [[0, 0], [0, 0]]);
        assert.equal(await redis.hlen("unacked"), 0);
      });

      it("each has the outcome that it should have", async () => {
        let scheduled = 0;
        for (const { name, lists } of samples) {
          const expected = outcomes[name] ?? ["3"];
          for (const [i, message] of Object.values(lists).flat().entries()) {
            const { id, eta, expires, namesTask } = headersOf(message);
            const meta = await app.AsyncResult(id).meta() as DecodedResult | null;
            if (expected === "dead") {
              assert.match(dead.get(message) ?? "", /refused (content type|compression)/, name);
              // Protocol 1 has its id in the body, which nobody has read.
              assert.equal(
                meta?.result instanceof TaskError && meta.result.type,
                namesTask && "InvalidTaskError",
                name,
              );
            } else if (expected === "no result") {
              assert.equal(meta, null, name);
            } else if (eta !== null && eta > Date.now()) {
              scheduled++;
              assert.equal(meta, null, name);
            } else if (expires !== null && expires < Date.now()) {
              assert.equal(meta?.status, "REVOKED", name);
            } else {
              assert.equal(meta?.status, "SUCCESS", name);
              assert.equal(describeValue(meta.result), expected[i], name);
            }
          }
        }
        const [{ delayed }] = await (await app.transport()).lengths(["celery"]);
        assert.equal(delayed, scheduled);
      });

      it("what is refused is kept byte for byte, and nothing else", () => {
        const refused = samples.filter(({ name }) => outcomes[name] === "dead");
        assert.deepEqual([...dead.keys()].sort(), refused.flatMap(({ lists }) => lists.celery).sort());
      });
    });
  }
});

/** Id and times of a captured message, in milliseconds, read with nothing of ours, and whether its headers name the task. */
function headersOf(
  message: string,
): { id: string; eta: number | null; expires: number | null; namesTask: boolean } {
  const { properties, headers, body } = JSON.parse(message);
  const text = Buffer.from(body, "base64").toString();
  const times = headers.task === undefined && text.startsWith("{") ? JSON.parse(text) : headers;
  const time = (value?: string | null) => value ? Date.parse(value) : null;
  return {
    id: properties.correlation_id,
    eta: time(times.eta),
    expires: time(times.expires),
    namesTask: headers.task !== undefined,
  };
}
