/** The command line's parts that need no process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { argumentValue, listValue, objectValue } from "../../runtime/cli/argument_value.ts";
import { banner } from "../../runtime/cli/banner.ts";
import {
  CommandError,
  errorText,
  ExitCode,
  exitCodeOf,
  exitCodeTable,
} from "../../runtime/cli/exit_codes.ts";
import { count, list, priority, seconds, secondsOrTime, time } from "../../runtime/cli/flags.ts";
import { nodeName } from "../../runtime/cli/node_name.ts";
import { chosenQueues } from "../../runtime/cli/opening.ts";
import { makeProgram } from "../../runtime/cli/program.ts";
import { table } from "../../runtime/cli/table.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import { TaskError } from "../../runtime/protocol/errors.ts";
import { BadUrlError, maskUrl } from "../../runtime/transport/url.ts";
import { BrokerUnavailableError } from "../../runtime/transport/transport.ts";

const usage = (error: unknown) => error instanceof CommandError && error.code === ExitCode.USAGE;

describe("exit codes", () => {
  it("tell faults of the user, the broker and celeriac apart", () => {
    assert.equal(exitCodeOf(new CommandError("x", 5)), 5);
    assert.equal(exitCodeOf(new BadUrlError("x")), ExitCode.USAGE);
    assert.equal(exitCodeOf(new BrokerUnavailableError("x")), ExitCode.UNAVAILABLE);
    assert.equal(exitCodeOf(new BrokerUnavailableError("x", { permanent: true })), ExitCode.REFUSED);
    assert.equal(exitCodeOf(new TypeError("x")), ExitCode.INTERNAL);
    assert.equal(exitCodeOf("x"), ExitCode.INTERNAL);
    assert.equal(exitCodeOf(new TaskError("x", { type: "BadUrlError" })), ExitCode.FAILED);
    assert.equal(exitCodeOf(Object.assign(new Error("x"), { name: "constructor" })), ExitCode.INTERNAL);
  });

  it("have each its line in the table", () => {
    const described = exitCodeTable.map(([code]) => code);
    for (const code of Object.values(ExitCode)) assert.ok(described.includes(code), String(code));
  });

  it("come with one line, unless the fault is ours", () => {
    assert.equal(errorText(new BadUrlError("bad")), "error: bad");
    assert.match(errorText(new TypeError("x is undefined")), /^error: TypeError: x is undefined\n +at /);
    assert.equal(errorText(new TaskError("no", { type: "KeyError" })), "KeyError: no");
    const traceback = "Traceback ...\nKeyError: no\n";
    assert.equal(
      errorText(new TaskError("no", { type: "KeyError", traceback })),
      "Traceback ...\nKeyError: no",
    );
  });
});

describe("values of flags", () => {
  it("are checked", () => {
    assert.equal(count("12"), 12);
    for (const bad of ["0", "-1", "1.5", "x", "", "1e3"]) {
      assert.throws(() => count(bad), { code: "commander.invalidArgument" }, bad);
    }
    assert.equal(priority("9"), 9);
    for (const bad of ["10", "-1", "x"]) {
      assert.throws(() => priority(bad), { code: "commander.invalidArgument" }, bad);
    }
    assert.equal(seconds("0.5"), 0.5);
    assert.equal(seconds(".5"), 0.5);
    for (const bad of ["-1", "1h", ".", "Infinity"]) {
      assert.throws(() => seconds(bad), { code: "commander.invalidArgument" }, bad);
    }
    assert.deepEqual(list("a, b", ["c"]), ["c", "a", "b"]);
    for (const bad of ["", "a,,b", "a,"]) {
      assert.throws(() => list(bad), { code: "commander.invalidArgument" }, bad);
    }
  });

  it("are times in UTC, unless an offset says otherwise", () => {
    assert.equal(time("2026-12-24T18:00:00").toISOString(), "2026-12-24T18:00:00.000Z");
    assert.equal(time("2026-12-24 18:00").toISOString(), "2026-12-24T18:00:00.000Z");
    assert.equal(time("2026-12-24").toISOString(), "2026-12-24T00:00:00.000Z");
    assert.equal(time("2026-12-24T18:00:00.5+01:00").toISOString(), "2026-12-24T17:00:00.500Z");
    for (const bad of ["tomorrow", "5", "2026-13-01", "24.12.2026"]) {
      assert.throws(() => time(bad), { code: "commander.invalidArgument" }, bad);
    }
    assert.equal(secondsOrTime("90"), 90);
    assert.deepEqual(secondsOrTime("2026-12-24"), new Date("2026-12-24T00:00:00Z"));
  });
});

describe("arguments of a call", () => {
  it("are JSON, Python's tokens and big integers included, else text", () => {
    assert.deepEqual(
      ["1", "-2.5", '"1"', "[1, null]", "true", "NaN", "123456789012345678901234567890", "hello", "{oops", ""]
        .map(argumentValue),
      [1, -2.5, "1", [1, null], true, NaN, 123456789012345678901234567890n, "hello", "{oops", ""],
    );
  });

  it("must be JSON of the right kind behind --args and --kwargs", () => {
    assert.deepEqual(listValue("[1]", "--args"), [1]);
    assert.deepEqual(objectValue('{"a": 1}', "--kwargs"), { a: 1 });
    for (const bad of ["1", "{}", "[1"]) assert.throws(() => listValue(bad, "--args"), usage);
    for (const bad of ["1", "[]", "null", "{a: 1}"]) assert.throws(() => objectValue(bad, "--kwargs"), usage);
  });
});

describe("node names", () => {
  it("are Celery's", () => {
    assert.equal(nodeName("celery@%h", "web1.example.com"), "celery@web1.example.com");
    assert.equal(nodeName("images@%n", "web1.example.com"), "images@web1");
    assert.equal(nodeName("a%%b@%d", "web1.example.com"), "a%b@example.com");
    assert.equal(nodeName("w1", "web1"), "celery@w1");
  });

  it("are refused where they can't be one", () => {
    for (const bad of ["a@%x", "a@%", "a@%d", "a b@%h", "a@b@c", "@h"]) {
      assert.throws(() => nodeName(bad, "web1"), usage);
    }
  });
});

describe("the queues of a command", () => {
  it("are the named ones, else those of the settings", () => {
    const settings = resolveSettings({ from: "test", settings: { taskQueues: ["a", "b"] } });
    assert.deepEqual(chosenQueues(settings), ["a", "b"]);
    assert.deepEqual(chosenQueues(settings, ["c", "c", "d"], ["d"]), ["c"]);
    assert.deepEqual(chosenQueues(resolveSettings()), ["celery"]);
    assert.throws(() => chosenQueues(settings, undefined, ["a", "b"]), usage);
  });
});

describe("what is printed", () => {
  it("are columns, numbers to the right", () => {
    assert.equal(
      table(["QUEUE", "READY"], [["celery", 3], ["b", 1200]]),
      "QUEUE   READY\ncelery      3\nb        1200",
    );
    assert.equal(table(["A"], []), "A");
  });

  it("is a banner without secrets", () => {
    const text = banner({
      hostname: "celery@h",
      settings: resolveSettings({
        from: "test",
        settings: { brokerUrl: "redis://u:pw@h/0", resultBackend: "redis://:pw@h/1" },
      }),
      defaultBroker: false,
      concurrency: 2,
      slots: 1,
      queues: ["celery", "b"],
      tasks: Array.from(
        { length: 50 },
        (_, i) => ({ name: `m.f${i}`, module: "m.ts", params: null, options: {} }),
      ),
    });
    assert.match(text, /broker +redis:\/\/u:\*\*@h\/0\n/);
    assert.match(text, /isolates +2 × 1 task at once\n/);
    assert.match(text, /queues +celery, b\n/);
    assert.match(text, /and 10 more/);
    assert.ok(!text.includes("pw"));
  });
});

describe("a password", () => {
  it("is masked in every URL, also where a character of it had to be escaped", () => {
    const shown = [
      ["redis://:pw@h:1/0?a=b@c", "redis://:**@h:1/0?a=b@c"],
      ["redis://u:p/w@h/0", "redis://u:**@h/0"],
      ["redis://:1/p@w@h", "redis://:**@h"],
      ["redis://:12?p@h", "redis://:**@h"],
      ["redis://u:p#w@h/0", "redis://u:**@h/0"],
      ["amqp://u:pw@h/v@w", "amqp://u:**@w"],
      ["redis://h:6379/0?name=me@home", "redis://h:6379/0?name=me@home"],
      ["redis://h?sentinel_password=pw&a=b", "redis://h?sentinel_password=**&a=b"],
      ["redis+sentinel://:pw@a,b/m;redis://:pw@c", "redis+sentinel://:**@a,b/m;redis://:**@c"],
      ["sqlite:./a:b@c.db", "sqlite:./a:b@c.db"],
    ];
    for (const [url, masked] of shown) assert.equal(maskUrl(url), masked);
  });
});

describe("help", () => {
  it("has examples for every command", async () => {
    for (const command of (await makeProgram()).commands) {
      let text = "";
      command.configureOutput({ writeOut: (part) => text += part });
      command.outputHelp();
      assert.match(text, /\nExamples:\n {2}# .+\n {2}celeriac /, command.name());
    }
  });
});
