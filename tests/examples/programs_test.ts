/** The programs of `examples/` that need a worker and nothing else do what they say. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { confinesIsolates } from "../../runtime/platform.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { runExample, temporaryBroker } from "./program.ts";

describe("the example", () => {
  let broker: Awaited<ReturnType<typeof temporaryBroker>>, worker: TestWorker | undefined;
  const run = (file: string) => runExample(file, broker.url);

  before(async () => {
    broker = await temporaryBroker();
    worker = await startWorker(
      [
        "-A",
        "tasks",
        "-A",
        "examples/queue_function.ts",
        "-A",
        "examples/retries_tasks.ts",
        "-A",
        "examples/periodic_tasks.ts",
        "-A",
        "examples/wordcount_tasks.ts",
        "-c",
        "2",
        "-b",
        broker.url,
      ],
    );
  });
  after(async () => {
    await worker?.stop();
    await broker.remove();
  });

  it("workflow.ts puts tasks together", async () => {
    const lines = await run("workflow.ts");
    assert.deepEqual(lines.slice(0, 2), ["(1 + 2) * 10 + 4 = 34", "before the last step: 30"]);
    assert.deepEqual(lines.slice(2, 5).sort(), [0, 1, 2].map((n) => `part ${n} has ended`));
    assert.deepEqual(lines.slice(5), ["squares: 1,4,9", "1000 sums in 10 tasks, the last one 1000"]);
  });

  it("wordcount.ts counts as many words as wc does in the texts that Debian installs", async () => {
    const lines = await run("wordcount.ts");
    const [total, often, plain] = lines.splice(-3);
    const [, words, texts] = /^(\d+) words in (\d+) texts$/.exec(total)!.map(Number);
    assert.match(often, /^most of all: .*\bthe \d+/);
    const [, ours, ascii, theirs] = /^(\d+) of them in (\d+) texts of plain ASCII; wc -w says (\d+)$/.exec(
      plain,
    )!.map(Number);
    assert.equal(ours, theirs);
    assert.ok(ours > 10_000 && ours <= words && ascii <= texts, plain);
    const [, done, tasks] = /^(\d+) of (\d+) tasks$/.exec(lines.at(-1)!)!;
    assert.equal(done, tasks);
  });

  it("typed_client.ts calls tasks by their signatures", async () => {
    const [sum, product, ...rest] = await run("typed_client.ts");
    assert.equal(sum, "1 + 2 = 3");
    assert.equal(product, "a moment later, 6 * 7 = 42");
    assert.match(
      rest.join(" "),
      /^Hello, Ada! The words: \{\s*a: 2,\s*rose: 2,\s*is: 1,?\s*\} by name: Hi, Grace!$/,
    );
  });

  it("error_handling.ts meets every kind of trouble", async () => {
    const [failed, where, ...rest] = await run("error_handling.ts");
    assert.equal(failed, "the task failed: RangeError: nothing to be done");
    assert.match(where, /^where: text\.ts:\d+$/);
    assert.deepEqual(rest, [
      "not done yet: no result of text.countDown[ID] after 0.1 s",
      "given up: Error: the visitor has left",
      "status: FAILURE",
      "done after all: lift-off",
    ]);
  });

  it("progress.ts sees a task go on", async () => {
    const lines = await run("progress.ts");
    assert.equal(lines.pop(), "lift-off");
    const left = lines.map((line) => Number(/^(\d) to go$/.exec(line)?.[1]));
    assert.ok(left.length >= 2, lines.join());
    assert.deepEqual(left, [5, 4, 3, 2, 1].filter((number) => left.includes(number)));
  });

  it("time_limits.ts meets tasks that take too long", async () => {
    assert.deepEqual(await run("time_limits.ts"), [
      "gather: some pieces, not all",
      "gave up: SoftTimeLimitExceeded",
      "too long: the task ran longer than its time limit of 0.5 s",
      "too long: the task ran longer than its time limit of 0.5 s",
      "sooner: TimeLimitExceeded: the task ran longer than its time limit of 0.1 s",
      "on one thing, undisturbed",
    ]);
  });

  it("revoke.ts calls tasks off", async () => {
    assert.deepEqual(await run("revoke.ts"), [
      "later: TaskRevokedError: revoked",
      "long: active",
      "long: TaskRevokedError: terminated",
    ]);
  });

  it("periodic.ts has two schedulers take turns", async () => {
    assert.deepEqual(await run("periodic.ts"), [
      "the clock: periodic_tasks.tick, every 0.5 seconds",
      "the report: periodic_tasks.report, 0 3 * * mon-fri (Europe/Berlin)",
      "one sends it",
      "the other goes on",
    ]);
  });

  it("batch.ts makes ten thousand calls", async () => {
    const [published, results, right] = await run("batch.ts");
    assert.match(published, /^10000 calls published after \d+ ms$/);
    assert.match(results, /^10000 results after \d+ ms$/);
    assert.equal(right, "all right: true");
  });

  it("queue_function.ts calls a function here and there", async () => {
    const [here, key, ...rest] = await run("queue_function.ts");
    assert.equal(here, "called here: 3");
    assert.match(key, /^its key: celery-task-meta-[\da-f-]{36}$/);
    assert.deepEqual(rest, [
      "its value at once: undefined",
      "its value a moment later: 3",
      "a thrown error is the result: RangeError: 1 can't be divided by zero",
      "what has no value is not stored: PENDING",
    ]);
  });

  it("retries.ts gets one result of several tries", async () => {
    assert.deepEqual(await run("retries.ts"), [
      "meanwhile: BusyError: the bank is busy",
      "order 17 is paid, at try 3",
      "in the end: BusyError: account 4 is locked",
      "in the end: Reject: an order without a total",
    ]);
  });

  it("processes.ts survives what tasks do to theirs", async () => {
    const apart = await temporaryBroker();
    const worker = await startWorker(["-A", "examples/processes_tasks.ts", "-c", "2", "-b", apart.url]);
    assert.deepEqual(await runExample("processes.ts", apart.url), [
      "crashed: the isolate that ran processes_tasks.crash died: its process was ended by SIGKILL",
      "too much: processes_tasks.hoard took more memory than it may: its tasks may take 64 MB of memory",
      "meanwhile: all is well",
    ]);
    await worker.stop();
    await apart.remove();
  });

  it("permissions.ts is denied what its tasks may not reach, or told that nobody here can deny it", async () => {
    const lines = await run("permissions.ts");
    if (!confinesIsolates) {
      assert.match(
        lines.join(),
        /^the task permissions_tasks\.\w+ in .*, which Bun can't enforce: run the worker on Deno/,
      );
      return;
    }
    assert.deepEqual(lines, [
      "README.md: read",
      'package.json: NotCapable: Requires read access to "package.json"',
      "6 * 7: 42",
      'process.env.HOME: NotCapable: Requires env access to "HOME"',
      "home: true",
    ]);
  });

  it("embedded_worker.ts needs no other process", async () => {
    assert.deepEqual(await run("embedded_worker.ts"), [
      "tasks: math.add, math.mul",
      "squares: 1, 4, 9",
      "done: 3 tasks",
    ]);
  });
});
