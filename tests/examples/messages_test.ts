/** The examples of messages do what they say: both ends of a conversation, in TypeScript and Python, and a stream of tokens. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { within } from "../conformance/patience.ts";
import { python } from "../servers/python.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { freePort, type RedisServer, startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { runExample, runPython, startExample, temporaryBroker } from "./program.ts";

const SQUARES = ["2 squared is 4", "3 squared is 9", "12 squared is 144"];

describe("conversation.ts, conversation.py and conversation_amqp.py", () => {
  let redis: RedisServer, rabbitmq: TestVhost, interpreter: string;
  before(async () => {
    [redis, rabbitmq, interpreter] = await Promise.all([startRedis(), startVhost(), python()]);
  });
  after(() => Promise.all([redis.stop(), rabbitmq.close()]));

  for (const broker of ["Redis", "RabbitMQ"]) {
    const url = () => broker === "Redis" ? redis.url : rabbitmq.url;
    const file = broker === "Redis" ? "conversation.py" : "conversation_amqp.py";
    const inTypeScript = (role: string, id: string) => runExample("conversation.ts", url(), role, id);
    const inPython = (role: string, id: string) => runPython(interpreter, file, url(), role, id);
    const pairs = {
      "both in TypeScript": [inTypeScript, inTypeScript],
      "the one who answers in Python": [inTypeScript, inPython],
      "the one who asks in Python": [inPython, inTypeScript],
    };
    for (const [name, [ask, answer]] of Object.entries(pairs)) {
      it(`talk over ${broker}, ${name}`, async () => {
        const id = name.replaceAll(" ", "-");
        const [asked, answered] = await Promise.all([ask("ask", id), answer("answer", id)]);
        assert.deepEqual(asked, SQUARES);
        assert.deepEqual(answered, ["no more questions"]);
      });
    }
  }
});

describe("token_stream.ts", () => {
  let broker: Awaited<ReturnType<typeof temporaryBroker>>,
    worker: TestWorker | undefined,
    web: TestWorker | undefined;
  let address: string;
  before(async () => {
    broker = await temporaryBroker();
    worker = await startWorker([
      "-A",
      "examples/token_stream_tasks.ts",
      "-c",
      "1",
      "--slots",
      "4",
      "-b",
      broker.url,
    ]);
    const port = String(await freePort());
    web = startExample("token_stream.ts", broker.url, { env: { PORT: port } });
    address = /http:\S+/.exec(await within(20_000, web.line(/listening/), "the server"))![0];
  });
  after(async () => {
    await web?.stop();
    await worker?.stop();
    await broker.remove();
  });

  it("sends the words of the answer as they come, then the end", async () => {
    const response = await fetch(`${address}/answer?q=Why%3F`);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const events = (await response.text()).trimEnd().split("\n\n").map((event) => {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event)!;
      return { name, data: JSON.parse(data) };
    });
    const end = events.pop()!;
    assert.deepEqual(end, { name: "done", data: { tokens: events.length } });
    assert.equal(
      events.map(({ data }) => data.token).join(""),
      'You asked "Why?". Nobody knows, but it is good that you ask. ',
    );
  });

  it("goes on when a visitor leaves in the middle", async () => {
    const leave = new AbortController();
    const response = await fetch(`${address}/answer?q=1`, { signal: leave.signal });
    await response.body!.getReader().read();
    leave.abort();
    const again = await fetch(`${address}/answer?q=2`);
    assert.match(await again.text(), /event: done\n/);
    assert.match(await (await fetch(address)).text(), /EventSource/);
    assert.equal((await fetch(`${address}/elsewhere`)).status, 404);
  });
});
