import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { getLogger, type LogRecord } from "@logtape/logtape";
import type { Clock } from "../../runtime/clock.ts";
import { LineWriter } from "../../runtime/log/line_writer.ts";
import { setUpLog } from "../../runtime/log/log.ts";
import { jsonFormat } from "../../runtime/log/log_json.ts";
import { textFormat } from "../../runtime/log/log_text.ts";

const noon = new Date(2026, 10, 21, 12, 0, 0, 7).getTime();

function record(message: unknown[], rest: Partial<LogRecord> = {}): LogRecord {
  return {
    category: ["celeriac", "worker"],
    level: "info",
    message,
    rawMessage: Object.assign([String(message[0])], { raw: [] }),
    timestamp: noon,
    properties: {},
    ...rest,
  };
}

/** A clock whose timers fire when the test says so. */
function manualClock(): Clock & { fire(): void } {
  const due = new Set<() => void>();
  return {
    now: () => noon,
    monotonic: () => 0,
    after: (_ms, run) => {
      due.add(run);
      return run;
    },
    cancel: (handle) => void due.delete(handle as () => void),
    fire() {
      const runs = [...due];
      due.clear();
      for (const run of runs) run();
    },
  };
}

/** A reader that takes one write at a time, when it is let. */
function slowReader() {
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  return {
    taken,
    write: (bytes: Uint8Array) =>
      new Promise<void>((resolve) => {
        taken.push(new TextDecoder().decode(bytes));
        waiting.push(resolve);
      }),
    /** Lets the oldest write finish, and what follows it begin. */
    async take() {
      waiting.shift()?.();
      for (let i = 0; i < 10; i++) await Promise.resolve();
    },
  };
}

const droppedLine = (count: number) => `${count} dropped\n`;

describe("log lines for people", () => {
  const format = textFormat(false);

  it("have local time, level, message with its values", () => {
    assert.equal(
      format(record(["served ", 3, " of ", "queue a", ": ", { n: 1n }, ""])),
      '2026-11-21 12:00:00.007 INFO     served 3 of queue a: {"n":"1"}\n',
    );
    assert.equal(format(record(["x"], { level: "fatal" })), "2026-11-21 12:00:00.007 CRITICAL x\n");
    assert.equal(format(record(["x"], { timestamp: noon + 993 })).slice(0, 23), "2026-11-21 12:00:01.000");
  });

  it("name the task and the end of its id in what a task says itself", () => {
    const properties = { task: "math.add", id: "01890a5d-ac96-774b-bcce-b302099a8057" };
    const own = {
      category: ["celeriac", "task"],
      rawMessage: "hello",
      properties: { ...properties, own: true },
    };
    assert.equal(
      format(record(["hello"], own)),
      "2026-11-21 12:00:00.007 INFO     math.add[099a8057]: hello\n",
    );
    const about = {
      category: ["celeriac", "task"],
      rawMessage: "Task done",
      properties: { ...properties, own: false },
    };
    assert.equal(format(record(["Task done"], about)), "2026-11-21 12:00:00.007 INFO     Task done\n");
  });

  it("can't be mistaken for other lines, nor change the terminal", () => {
    assert.equal(
      format(record(["one\ntwo\r\n2026-11-21 12:00:00.007 CRITICAL three\x1b[2J\n"])),
      "2026-11-21 12:00:00.007 INFO     one\n    two\n    2026-11-21 12:00:00.007 CRITICAL three\\x1b[2J\n",
    );
  });

  it("carry an error's trace", () => {
    const error = new TypeError("no");
    error.stack = "TypeError: no\n    at f (a.ts:1:2)";
    assert.equal(
      format(record(["failed"], { level: "error", properties: { error } })),
      "2026-11-21 12:00:00.007 ERROR    failed\n    TypeError: no\n        at f (a.ts:1:2)\n",
    );
  });

  it("are coloured for a terminal only", () => {
    assert.ok(textFormat(true)(record(["x"], { level: "warning" })).endsWith("\x1b[33mWARNING \x1b[0m x\n"));
  });
});

describe("log lines for programs", () => {
  it("are JSON with the record's properties", () => {
    const properties = { task: "m.f", id: "1", level: "own", big: 2n ** 70n, when: new Date(0) };
    assert.deepEqual(JSON.parse(jsonFormat(record(["a ", 1, ""], { level: "fatal", properties }))), {
      time: new Date(noon).toISOString(),
      level: "critical",
      logger: "celeriac.worker",
      message: "a 1",
      task: "m.f",
      id: "1",
      level_: "own",
      big: "1180591620717411303424",
      when: "1970-01-01T00:00:00.000Z",
    });
  });

  it("hold errors with their causes, and what holds itself", () => {
    const error = new Error("outer", { cause: new RangeError("inner") });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const line = JSON.parse(jsonFormat(record(["x\ny"], { properties: { error, circle } })));
    assert.equal(line.message, "x\ny");
    assert.equal(line.error.name, "Error");
    assert.match(line.error.stack, /outer/);
    assert.equal(line.error.cause.message, "inner");
    assert.deepEqual(line.circle, { self: "[circular]" });
    assert.equal(jsonFormat(record(["x\ny"])).split("\n").length, 2);
  });
});

describe("the line writer", () => {
  it("writes many lines at once, and one write at a time", async () => {
    const clock = manualClock();
    const reader = slowReader();
    const writer = new LineWriter({ write: reader.write, clock, droppedLine });
    for (let i = 0; i < 1000; i++) writer.push(`${i}\n`);
    assert.equal(reader.taken.length, 0);
    clock.fire();
    assert.equal(reader.taken.length, 1);
    assert.equal(reader.taken[0].split("\n").length, 1001);
    writer.push("while it writes\n");
    clock.fire();
    assert.equal(reader.taken.length, 1);
    await reader.take();
    assert.equal(reader.taken[1], "while it writes\n");
  });

  it("is bounded, and says how much it dropped", async () => {
    const clock = manualClock();
    const reader = slowReader();
    const writer = new LineWriter({ write: reader.write, clock, droppedLine, maxCharacters: 10 });
    for (const line of ["1234\n", "5678\n", "9\n", "0\n"]) writer.push(line);
    clock.fire();
    await reader.take();
    assert.deepEqual(reader.taken, ["1234\n5678\n", "2 dropped\n"]);
  });

  it("flushes at once, and resolves when all is out", async () => {
    const clock = manualClock();
    const reader = slowReader();
    const writer = new LineWriter({ write: reader.write, clock, droppedLine });
    await writer.flush();
    writer.push("a\n");
    let flushed = false;
    const flushing = writer.flush().then(() => flushed = true);
    assert.deepEqual(reader.taken, ["a\n"]);
    writer.push("b\n");
    await reader.take();
    assert.equal(flushed, false);
    await reader.take();
    await flushing;
    assert.deepEqual(reader.taken, ["a\n", "b\n"]);
  });

  it("goes on in silence when nobody reads any more", async () => {
    const clock = manualClock();
    let writes = 0;
    const gone = () => {
      writes++;
      return Promise.reject(new Error("EPIPE"));
    };
    const writer = new LineWriter({ write: gone, clock, droppedLine });
    writer.push("a\n");
    await writer.flush();
    writer.push("b\n");
    await writer.flush();
    assert.equal(writes, 1);
  });
});

describe("setting logging up", () => {
  it("sends the library's lines of the level and above, and replaces what was set up", async () => {
    const written: string[] = [];
    const decoder = new TextDecoder();
    const write = (bytes: Uint8Array) => {
      written.push(decoder.decode(bytes));
      return Promise.resolve();
    };
    const logger = getLogger(["celeriac", "worker"]);
    for (const format of ["text", "json"] as const) {
      const log = setUpLog({ level: "warning", format, color: false, write, clock: manualClock() });
      logger.info("quiet");
      logger.warning("queue {queue} is gone", { queue: "a" });
      await log.flush();
    }
    assert.equal(written.length, 2);
    assert.ok(written[0].endsWith("WARNING  queue a is gone\n"));
    const line = JSON.parse(written[1]);
    assert.deepEqual([line.logger, line.message, line.queue], ["celeriac.worker", "queue a is gone", "a"]);
  });

  it("leaves braces alone in what tasks and errors say", async () => {
    const lines: string[] = [];
    const decoder = new TextDecoder();
    const write = (bytes: Uint8Array) => {
      lines.push(...decoder.decode(bytes).split("\n"));
      return Promise.resolve();
    };
    const log = setUpLog({ level: "info", format: "json", color: false, write, clock: manualClock() });
    getLogger(["celeriac", "task"]).info('{id} and {"a":1} and {{', { task: "m.f", id: "1", own: true });
    getLogger(["celeriac", "worker"]).error('died: {"code":5}');
    await log.flush();
    assert.equal(JSON.parse(lines[0]).message, '{id} and {"a":1} and {{');
    assert.equal(JSON.parse(lines[1]).message, 'died: {"code":5}');
  });
});
