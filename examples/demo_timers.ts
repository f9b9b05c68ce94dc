/**
 * What `make demo-timers` shows: a worker whose tasks set timers, and messages as one would send them by hand. The first
 * starts a countdown with a callback at its end, the second one that another task calls off before it fires.
 *
 *     deno run -A examples/demo_timers.ts [URL]
 *
 * `URL` is a broker, `amqp://` for example. Without one it is a Redis server of the demo's own, or an SQLite file where no
 * redis-server is installed.
 */
import { connect } from "amqplib";
import { Redis } from "ioredis";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "celeriac-timers-"));
const color = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code: number, text: string) => color ? `\x1b[${code}m${text}\x1b[0m` : text;
const started: ChildProcess[] = [];
process.on("exit", () => {
  for (const child of started) child.kill("SIGKILL");
});

/** The URL of a Redis server of this demo's own, or undefined where none is installed. */
async function startRedis(): Promise<string | undefined> {
  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as { port: number };
  await new Promise((resolve) => free.close(resolve));
  const options = { bind: "127.0.0.1", port: String(port), dir: folder, save: "" };
  const server = spawn(
    "redis-server",
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  started.push(server);
  return await new Promise((resolve) => {
    server.on("error", () => resolve(undefined));
    server.on("exit", () => resolve(undefined));
    server.stdout!.on("data", (data) => {
      if (String(data).includes("Ready to accept connections")) resolve(`redis://127.0.0.1:${port}/0`);
    });
  });
}

const broker = process.argv[2] ?? await startRedis() ?? `sqlite:${join(folder, "celeriac.db")}`;
const kind = broker.replace(/:.*/s, "");

/** Puts a message into the queue `celery`, as any program can. */
async function sendByHand(message: Readonly<Record<string, unknown>>): Promise<void> {
  const text = JSON.stringify(message);
  if (kind === "amqp") {
    console.log(`${paint(32, "by hand")} to the queue celery, as application/json: ${text}`);
    const connection = await connect(broker);
    const channel = await connection.createConfirmChannel();
    channel.sendToQueue("celery", Buffer.from(text), { contentType: "application/json" });
    await channel.waitForConfirms();
    await connection.close();
  } else if (kind === "redis") {
    console.log(`${paint(32, "by hand")} LPUSH celery '${text}'`);
    const redis = new Redis(broker);
    await redis.lpush("celery", text);
    await redis.quit();
  } else {
    console.log(`${paint(32, "by hand")} into the table of messages: ${text}`);
    const db = new DatabaseSync(broker.replace("sqlite:", ""));
    db.exec("pragma busy_timeout = 5000; begin immediate");
    db.prepare("insert into message(body) values(?)").run(text);
    db.exec("insert into ready(queue, priority, id) values('celery', 0, last_insert_rowid()); commit");
    db.close();
  }
}

function title(text: string): void {
  console.log(`\n${paint(1, text)}`);
}

/** The worker's lines, shown as they come. */
const heard: string[] = [];
const waiting = new Set<() => void>();

/** Resolves with the first line of the worker, before or after now, that matches. */
async function line(pattern: RegExp): Promise<string> {
  for (;;) {
    const found = heard.find((line) => pattern.test(line));
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => waiting.add(resolve));
    if (worker.exitCode !== null) throw new Error("the worker has ended");
  }
}

function wake(): void {
  for (const resolve of waiting) resolve();
  waiting.clear();
}

title(`A worker with two isolates that have loaded tasks/countdown.ts. Its broker: ${kind}.`);
const run = process.versions.bun ? [] : ["run", "-A", "--no-check"];
const options = ["-A", "tasks/countdown.ts", "-c", "2", "-b", broker, "--log-format", "text"];
const worker = spawn(process.execPath, [...run, join(root, "runtime/main.ts"), "worker", ...options], {
  cwd: root,
  stdio: ["ignore", "pipe", "pipe"],
});
started.push(worker);
for (const stream of [worker.stdout!, worker.stderr!]) {
  createInterface({ input: stream }).on("line", (text) => {
    console.log(`${paint(2, "worker │")} ${text}`);
    heard.push(text);
    wake();
  });
}
const ended = once(worker, "close").then(wake);
await line(/ ready/);

title(
  "A plain message starts a countdown. Its timers wait in the worker's hub; ticks and callback run in isolates.",
);
await sendByHand({ task: "countdown.start", id: "first-countdown", args: ["first", 3] });
await line(/first: lift-off!/);

title("Another one, which a task in another isolate calls off by the ids of its timers.");
await sendByHand({ task: "countdown.start", id: "second-countdown", args: ["second", 30] });
const [last, ticks] = (await line(/second: 30 .*call it off:/)).replace(/.*call it off: /, "").trim().split(
  /\s+/,
);
await line(/second: 2\d \.\.\./);
await sendByHand({ task: "countdown.callOff", id: "calling-off", args: ["second", last, ticks] });
await line(/second is called off: cancelled, cancelled/);

title("SIGTERM: a third one is lost with its worker, which says so.");
await sendByHand({ task: "countdown.start", id: "third-countdown", args: ["third", 60] });
await line(/third: 60/);
worker.kill("SIGTERM");
await ended;
for (const child of started) child.kill("SIGTERM");
await rm(folder, { recursive: true, force: true });
console.log(`\nMore: docs/timers.md. Over RabbitMQ: make demo-timers BROKER=amqp://localhost`);
process.exit(0);
