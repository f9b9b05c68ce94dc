import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";
import { uid } from "../../runtime/protocol/uid.ts";
import { TaskError } from "../../runtime/protocol/errors.ts";
import { eventually, within } from "../conformance/patience.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { run, type TestWorker } from "../servers/worker.ts";
import { logOf, marksIn, Workshop } from "../worker/workshop.ts";
import { bodyOf, envelope, type RawQueue, rawQueue } from "./raw_queue.ts";

const LIMIT = 256 * 1024;
const EMBED = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`;

interface BadMessage {
  /** What it is. */
  readonly name: string;
  readonly entry: (id: string) => string | Uint8Array;
  readonly reason: RegExp;
  /** Its id could be read, so the log has it. */
  readonly knowsId?: boolean;
  /** Its caller is told, by an error of this type. */
  readonly fails?: string;
}

const echo = (id: string, body: string | Uint8Array, parts?: Parameters<typeof envelope>[3]) =>
  envelope(id, "jobs.echo", body, parts);

const bad: readonly BadMessage[] = [
  { name: "text that is no JSON", entry: () => "hello", reason: /not an envelope/ },
  { name: "nothing at all", entry: () => "", reason: /not an envelope/ },
  {
    name: "bytes that are no text",
    entry: () => new Uint8Array([0, 255, 128, 10]),
    reason: /not an envelope/,
  },
  { name: "JSON that is no object", entry: () => "[1, 2, 3]", reason: /not an envelope/ },
  { name: "half of an envelope", entry: (id) => echo(id, bodyOf("1")).slice(0, 150), reason: /not JSON/ },
  { name: "an object that is no message", entry: () => `{"hello": "there"}`, reason: /not an envelope/ },
  {
    name: "an envelope with bytes in it that are not UTF-8",
    entry: (id) => {
      const text = echo(id, bodyOf("1"), { headers: { note: "?" } });
      const bytes = new TextEncoder().encode(text);
      bytes[text.indexOf("?")] = 0xff;
      return bytes;
    },
    reason: /UTF-8|not an envelope/,
  },
  {
    name: "wrong base64",
    entry: (id) => echo(id, "").replace(`"body": ""`, `"body": "@@not base64@@"`),
    reason: /wrong base64/,
    knowsId: true,
  },
  {
    name: "a body whose bytes are no text",
    entry: (id) => echo(id, new Uint8Array([0x5b, 0xff, 0xfe, 0x5d])),
    reason: /base64|encoding|JSON/,
    knowsId: true,
  },
  {
    name: "a body that is no JSON",
    entry: (id) => echo(id, "[1, 2"),
    reason: /body is not JSON/,
    knowsId: true,
  },
  {
    name: "a body that is no triple",
    entry: (id) => echo(id, "[[1], {}]"),
    reason: /not a triple/,
    knowsId: true,
  },
  { name: "a body that is a number", entry: (id) => echo(id, "42"), reason: /not a task/, knowsId: true },
  {
    name: "arguments that are no list",
    entry: (id) => echo(id, `[{"x": 1}, {}, ${EMBED}]`),
    reason: /args is not a list/,
    knowsId: true,
  },
  ...([
    ["a next step that is no signature", "chain", "[3]"],
    ["a next step of no name", "chain", `[{"args": [1]}]`],
    [
      "a callback with an option of the wrong type",
      "callbacks",
      `[{"task": "jobs.echo", "options": {"countdown": "soon"}}]`,
    ],
    [
      "an error callback that is a chain of none",
      "errbacks",
      `[{"task": "celery.chain", "subtask_type": "chain"}]`,
    ],
    ["a part of a chord whose body is no signature", "chord", `"jobs.echo"`],
    ["a step that says it is something else", "chain", `[{"task": "jobs.echo", "subtask_type": "group"}]`],
    [
      "signatures in signatures without end",
      "chain",
      `[${`{"task": "jobs.echo", "options": {"link": `.repeat(600)}null${"}}".repeat(600)}]`,
    ],
    ["more steps than anybody has", "chain", `[${`{"task":"t"},`.repeat(15_000)}3]`],
  ] as const).map(([name, where, what]): BadMessage => ({
    name,
    entry: (id) => echo(id, `[[1], {}, {"${where}": ${what}}]`),
    reason: new RegExp(`bad ${where}`),
    knowsId: true,
    fails: "InvalidTaskError",
  })),
  { name: "no task", entry: (id) => envelope(id, "", bodyOf("1")), reason: /missing task/, knowsId: true },
  { name: "no id", entry: () => echo("", bodyOf("1")), reason: /missing id/ },
  {
    name: "a task that nobody knows",
    entry: (id) => envelope(id, "jobs.no_such_task", bodyOf("1")),
    reason: /jobs\.no_such_task is not registered/,
    knowsId: true,
    fails: "NotRegistered",
  },
  {
    name: "a task named like what every object has",
    entry: (id) => envelope(id, "constructor", bodyOf("1")),
    reason: /constructor is not registered/,
    knowsId: true,
    fails: "NotRegistered",
  },
  {
    name: "an argument that the task does not know",
    entry: (id) => envelope(id, "jobs.add", `[[], {"x": 1, "z": 2}, ${EMBED}]`),
    reason: /unexpected keyword argument 'z'/,
    knowsId: true,
    fails: "TypeError",
  },
  {
    name: "an argument too few",
    entry: (id) => envelope(id, "jobs.add", bodyOf("1")),
    reason: /missing 1 required positional argument: 'y'/,
    knowsId: true,
    fails: "TypeError",
  },
  {
    name: "pickle",
    entry: (id) =>
      echo(id, new Uint8Array([0x80, 0x04, 0x2e]), {
        contentType: "application/x-python-serialize",
        contentEncoding: "binary",
      }),
    reason: /refused content type/,
    knowsId: true,
  },
  {
    name: "YAML",
    entry: (id) => echo(id, "- [1]\n- {}\n- {}\n", { contentType: "application/x-yaml" }),
    reason: /refused content type/,
    knowsId: true,
  },
  {
    name: "a content type that nobody knows",
    entry: (id) => echo(id, bodyOf("1"), { contentType: "application/x-surprise" }),
    reason: /refused content type/,
    knowsId: true,
  },
  {
    name: "a compression that nobody knows",
    entry: (id) => echo(id, bodyOf("1"), { headers: { compression: "application/x-surprise" } }),
    reason: /compression/,
    knowsId: true,
  },
  {
    name: "compressed bytes that are none",
    entry: (id) => echo(id, bodyOf("1"), { headers: { compression: "application/x-gzip" } }),
    reason: /compress/,
    knowsId: true,
  },
  {
    name: "a body that is large once it is decompressed",
    entry: (id) =>
      echo(id, deflateSync(bodyOf(`"${"x".repeat(20 * LIMIT)}"`)), {
        headers: { compression: "application/x-gzip" },
        contentEncoding: "utf-8",
      }),
    reason: /too large/,
    knowsId: true,
  },
  {
    name: "a message larger than the limit",
    entry: (id) => echo(id, bodyOf(`"${"x".repeat(LIMIT)}"`)),
    reason: /larger than/,
  },
  {
    name: "thousands of headers",
    entry: (id) =>
      echo(id, bodyOf("1"), {
        headers: Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`h${i}`, i])),
      }),
    reason: /too many headers/,
    knowsId: true,
  },
  {
    name: "headers that nest without end",
    entry: (id) =>
      echo(id, bodyOf("1"), { headers: { deep: "?" } }).replace(
        `"?"`,
        `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
      ),
    reason: /./,
  },
  {
    name: "a time that is none",
    entry: (id) => echo(id, bodyOf("1"), { headers: { eta: "tomorrow" } }),
    reason: /bad eta/,
    knowsId: true,
  },
  {
    name: "a number of digits without end",
    entry: (id) => echo(id, bodyOf("9".repeat(100_000))),
    reason: /JSON/,
    knowsId: true,
  },
];

for (const kind of ["SQLite", "Redis"] as const) {
  describe(`on ${kind} a message that can't be run is kept as a dead letter, and the rest goes on:`, () => {
    let redis: RedisServer | undefined;
    let shop: Workshop;
    let worker: TestWorker;
    let queue: RawQueue;
    let dead = 0;
    before(async () => {
      if (kind === "Redis") redis = await startRedis();
      const settings = { brokerTransportOptions: { maxMessageBytes: LIMIT } };
      shop = await Workshop.open({ broker: redis?.url, settings });
      worker = await shop.worker("-c", "1");
      queue = rawQueue(shop.broker);
    });
    after(async () => {
      queue.close();
      await shop[Symbol.asyncDispose]();
      await redis?.stop();
    });

    for (const { name, entry, reason, knowsId = false, fails } of bad) {
      it(name, async () => {
        const id = uid();
        const message = entry(id);
        await queue.push(message, echo(`${id}-next`, bodyOf(`"${name}"`)));
        const next = shop.app.AsyncResult(`${id}-next`);
        assert.equal(await within(10_000, next, "the message behind it"), name);

        await eventually(async () => assert.equal((await shop.length()).dead, dead + 1));
        dead++;
        const [letter] = await (await shop.app.transport()).deadLetters("celery", 1);
        assert.equal(letter.queue, "celery");
        assert.match(letter.reason, reason);
        assert.ok(Math.abs(letter.at - Date.now()) < 60_000);
        const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
        assert.ok(Buffer.from(letter.body).equals(bytes), "its bytes were changed");

        const line = await eventually(() => {
          const lines = logOf(worker).filter(({ message }) => message.includes("dead letter"));
          assert.equal(lines.length, dead);
          return lines[dead - 1];
        });
        assert.equal(line.level, "error");
        assert.equal(line.queue, "celery");
        assert.match(String(line.reason), reason);
        assert.ok(String(line.reason).length < 300, "a reason is no place for the message's own data");
        if (knowsId) assert.equal(line.id, id);
        if (fails === undefined) return;
        await assert.rejects(within(5_000, shop.app.AsyncResult(id), "the error"), (error: unknown) => {
          assert.ok(error instanceof TaskError);
          assert.equal(error.type, fails);
          return true;
        });
      });
    }

    it("and `celeriac queues` counts them all", async () => {
      const { code, stdout } = await run(["queues", "--json", "-b", shop.broker]);
      assert.equal(code, 0);
      const [line] = JSON.parse(stdout);
      assert.deepEqual(line, { queue: "celery", ready: 0, delayed: 0, unacked: 0, dead });
    });
  });

  describe(`on ${kind} a message that is odd but right runs:`, () => {
    let redis: RedisServer | undefined;
    let shop: Workshop;
    let worker: TestWorker;
    let queue: RawQueue;
    before(async () => {
      if (kind === "Redis") redis = await startRedis();
      shop = await Workshop.open({ broker: redis?.url });
      worker = await shop.worker("-c", "1");
      queue = rawQueue(shop.broker);
    });
    after(async () => {
      queue.close();
      await shop[Symbol.asyncDispose]();
      await redis?.stop();
    });

    it("two of one id both run, and the first SUCCESS stays", async () => {
      const id = uid(), file = shop.file("marks");
      const fine = envelope(id, "jobs.mark", bodyOf(`"${file}"`));
      await queue.push(fine, fine, envelope(id, "jobs.fail", bodyOf(`"afterwards"`)));
      assert.equal(await shop.jobs.echo("after them"), "after them");
      assert.equal((await marksIn(file)).length, 2);
      await within(5_000, worker.line(/jobs\.fail.*afterwards/), "the failure's line");
      assert.equal(await shop.app.AsyncResult(id).status, "SUCCESS");
    });

    it("a late one is not run: REVOKED, with a line that names it", async () => {
      const id = uid(), file = shop.file("late");
      const expires = new Date(Date.now() - 1_000).toISOString();
      await queue.push(envelope(id, "jobs.mark", bodyOf(`"${file}"`), { headers: { expires } }));
      await assert.rejects(within(5_000, shop.app.AsyncResult(id), "its state"), {
        name: "TaskRevokedError",
      });
      assert.equal(await shop.app.AsyncResult(id).status, "REVOKED");
      await within(5_000, worker.line(new RegExp(`expired.*${id}`)), "its line");
      assert.deepEqual(await marksIn(file), []);
    });

    it("arguments that nest without end fail that task alone, when its result can't be written", async () => {
      const id = uid();
      await queue.push(echo(id, bodyOf(`${"[".repeat(90_000)}${"]".repeat(90_000)}`)));
      await assert.rejects(within(5_000, shop.app.AsyncResult(id), "its error"), (error: unknown) => {
        assert.ok(error instanceof TaskError);
        assert.match(error.message, /nests? deeper/);
        return true;
      });
    });

    it("a bare one, with a number as its id", async () => {
      await queue.push(`{"task": "jobs.echo", "id": 123123, "args": ["foo"]}`);
      assert.equal(await within(5_000, shop.app.AsyncResult("123123"), "its result"), "foo");
    });
  });
}

describe("a message of 100 MB", () => {
  it("on Redis is kept as a dead letter without passing through the worker", async () => {
    const redis = await startRedis();
    const shop = await Workshop.open({ broker: redis.url });
    const queue = rawQueue(redis.url);
    try {
      const worker = await shop.worker("-c", "1");
      assert.equal(await shop.jobs.echo("before"), "before");
      const entry = new Uint8Array(Buffer.from(echo(uid(), bodyOf(`"${"x".repeat(75_000_000)}"`))));
      assert.ok(entry.length > 100_000_000);
      await queue.push(entry);
      assert.equal(await within(10_000, shop.jobs.echo("behind it"), "the next task"), "behind it");
      await within(10_000, worker.line(/dead letter: larger than 16777216 bytes/), "its line");
      const [letter] = await (await shop.app.transport()).deadLetters("celery", 1);
      assert.ok(Buffer.from(letter.body).equals(entry), "its bytes were changed");
    } finally {
      queue.close();
      await shop[Symbol.asyncDispose]();
      await redis.stop();
    }
  });
});
