/** `celeriac send`, `listen` and `call --watch`, with a real worker. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ProgressBar } from "../../runtime/cli/progress_bar.ts";
import { Folder } from "./folder.ts";

const TASKS = fileURLToPath(new URL("../channel/tasks.ts", import.meta.url));

describe("messages from the command line", () => {
  let folder: Folder;
  before(async () => {
    folder = await Folder.with();
    await folder.worker("-A", TASKS, "-c", "1", "--slots", "8");
  });
  after(() => folder[Symbol.asyncDispose]());

  it("call --watch prints progress, messages and the result", async () => {
    const id = "steps-1";
    const [called, ...orders] = await Promise.all([
      folder.run(["call", "tasks.steps", "2", "--watch", "--id", id]),
      folder.run(["send", id, "1", "two"]),
    ]);
    assert.deepEqual(orders.map(({ code, stderr }) => [code, stderr]), [[0, ""]]);
    assert.equal(called.stdout, '"done"\n');
    // The first one may be over before the caller listens.
    assert.match(called.stderr, /^(1\/2 50 %\n)?(2\/2 100 %\n)?$/);
    assert.equal(called.code, 0);

    const counted = await folder.run(["call", "tasks.count", "3", "--watch"]);
    assert.deepEqual(counted, { code: 0, stdout: "0\n1\n2\n3\n", stderr: "" });
    const failed = await folder.run(["call", "tasks.fail", "--watch"]);
    assert.equal(failed.stdout, '"before"\n');
    assert.equal(failed.code, 1);
    const late = await folder.run(["call", "tasks.echo", "--watch", "--timeout", "0.3"]);
    assert.deepEqual([late.code, late.stdout], [75, ""]);
  });

  it("send and listen are the two ends of a task", async () => {
    const id = "echo-1";
    const [sent, listened, called] = await Promise.all([
      folder.run(["send", id, '"one"', "two", "--end"]),
      folder.run(["listen", id]),
      folder.run(["call", "tasks.echo", "--id", id]),
    ]);
    assert.deepEqual(sent, { code: 0, stdout: "", stderr: "" });
    assert.deepEqual(listened, { code: 0, stdout: '"ONE"\n"TWO"\n', stderr: "" });
    assert.deepEqual(called, { code: 0, stdout: "2\n", stderr: "" });
  });

  it("they do without a task", async () => {
    await folder.run([
      "send",
      "any",
      '{"a": 12345678901234567890}',
      "text",
      "--end",
      "--direction",
      "to-client",
    ]);
    const listened = await folder.run(["listen", "any"]);
    assert.deepEqual(listened, { code: 0, stdout: '{"a": 12345678901234567890}\n"text"\n', stderr: "" });
    await folder.run(["send", "any", "1"]);
    const other = await folder.run(["listen", "any", "--direction", "to-task", "--timeout", "0.3"]);
    assert.deepEqual([other.code, other.stdout], [75, "1\n"]);
    assert.match(other.stderr, /no message of any for 0\.3 s/);
  });

  it("say what is missing or wrong", async () => {
    const nothing = await folder.run(["send", "any"]);
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /nothing to send/);
    const way = await folder.run(["listen", "any", "--direction", "sideways"]);
    assert.equal(way.code, 2);
    const words = await folder.run(["completions", "bash", "--", "listen", "--direction", "to"]);
    assert.equal(words.stdout, "to-task\nto-client\n");
    const commands = await folder.run(["completions", "bash", "--", "l"]);
    assert.match(commands.stdout, /^listen\tprint the messages/);
  });
});

describe("a progress bar", () => {
  const drawn = (screen: { isTTY?: boolean; columns?: number }, ...progress: unknown[]) => {
    const written: string[] = [];
    const bar = new ProgressBar({ ...screen, write: (text: string) => written.push(text) });
    for (const each of progress) bar.show(each as { current: number });
    bar.clear();
    bar.draw();
    return written;
  };

  it("stays in its line on a terminal, and makes place for messages", () => {
    const [first, second, cleared, again] = drawn(
      { isTTY: true, columns: 40 },
      { current: 1, total: 4 },
      { current: 4, total: 4 },
      { current: 4, total: 4 },
    );
    assert.equal(first, `\r[${"#".repeat(7)}${"-".repeat(20)}] 1/4 25 %\x1b[K`);
    assert.equal(second, `\r[${"#".repeat(26)}] 4/4 100 %\x1b[K`);
    assert.equal(cleared, "\r\x1b[K");
    assert.equal(again, second);
  });

  it("is a line each elsewhere, and does with what there is", () => {
    assert.deepEqual(drawn({}, { current: 1, total: 3 }, { current: 7 }, { current: 5, total: 3 }), [
      "1/3 33 %\n",
      "7\n",
      "5/3 100 %\n",
    ]);
    assert.deepEqual(drawn({ isTTY: true, columns: 12 }, { current: 1, total: 2 })[0], "\r1/2 50 %\x1b[K");
    assert.deepEqual(drawn({}, { left: 3 }), []);
  });
});
