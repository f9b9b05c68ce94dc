/** The same tasks in a thread and in a process of its own: what they do, say and store is the same. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { END } from "../../runtime/channel/channel.ts";
import type { RelayAnswer, RelayRequest } from "../../runtime/channel/relay.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import { ChildProcessIsolate } from "../../runtime/isolate/child_process.ts";
import { type Job, JobNumbers } from "../../runtime/isolate/claim_board.ts";
import {
  type Death,
  type Isolate,
  type IsolateListener,
  type LogReport,
  Report,
  REPORT_STRIDE,
  type StateReport,
} from "../../runtime/isolate/isolate.ts";
import type { ModuleFile } from "../../runtime/isolate/load_modules.ts";
import { WebWorkerIsolate } from "../../runtime/isolate/web_worker.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { parsePythonJson } from "../../runtime/protocol/python_json.ts";
import { completeOptions, isolateSettings } from "../../runtime/worker/worker_options.ts";
import { eventually } from "../conformance/patience.ts";
import { taskMessage } from "../conformance/transports.ts";

const url = new URL("./process_tasks.ts", import.meta.url);
const MODULES: readonly ModuleFile[] = [{ url: url.href, path: fileURLToPath(url), name: "jobs" }];
const MB = 2 ** 20;

/** What an isolate has told so far. */
interface Told {
  readonly reports: { job: Job; report: number; text: string }[];
  readonly states: StateReport[];
  readonly lines: LogReport[];
  readonly requests: RelayRequest[];
  readonly deaths: { reason: string; how: Death | undefined }[];
}

/** An isolate with everything that it tells. */
class Bench {
  readonly isolate: Isolate;
  readonly told: Told = { reports: [], states: [], lines: [], requests: [], deaths: [] };
  readonly #numbers = new JobNumbers();

  constructor(kind: "thread" | "process", { slots = 1, memoryLimit, modules = MODULES }: {
    slots?: number;
    memoryLimit?: number;
    modules?: readonly ModuleFile[];
  } = {}) {
    const settings = resolveSettings({ from: "the test", settings: { brokerUrl: "memory:kinds" } });
    const { told } = this;
    const listener: IsolateListener = {
      finished(reports) {
        for (let i = 0; i < reports.length; i += REPORT_STRIDE) {
          const [job, report, , text] = reports.slice(i, i + REPORT_STRIDE) as [Job, number, string, string];
          told.reports.push({ job, report, text });
        }
      },
      follow: () => assert.fail("nothing follows"),
      state: (state) => void told.states.push(state),
      log: (line) => void told.lines.push(line),
      relay: (answer) => ({ hear: (request) => this.#answer(request as RelayRequest, answer), close() {} }),
      died: (reason, how) => void told.deaths.push({ reason, how }),
    };
    const given = {
      ...isolateSettings(completeOptions({ settings, modules: [], slots, hostname: "celery@kinds" })),
      modules,
    };
    this.isolate = kind === "thread"
      ? new WebWorkerIsolate(given, listener)
      : new ChildProcessIsolate(given, listener, undefined, memoryLimit);
  }

  static async start(...given: ConstructorParameters<typeof Bench>): Promise<Bench> {
    const bench = new Bench(...given);
    await bench.isolate.start();
    return bench;
  }

  /** Hands a job over. */
  give(task: string, ...args: unknown[]): Job {
    return this.giveText(JSON.stringify({ task: `jobs.${task}`, id: `id-of-${task}`, args, kwargs: {} }));
  }

  giveText(text: string): Job {
    const job = this.#numbers.take();
    this.isolate.board.offer(job);
    this.isolate.run([job, text]);
    return job;
  }

  /** Runs a job to its end; what it stored. */
  async run(task: string, ...args: unknown[]): Promise<{ report: number; stored: Record<string, unknown> }> {
    const job = this.give(task, ...args);
    const { report, text } = await this.reported(job);
    const { date_done: _, ...stored } = text === "" ? {} : parsePythonJson(text) as Record<string, unknown>;
    return { report, stored };
  }

  reported(job: Job): Promise<Told["reports"][number]> {
    return eventually(() => {
      const found = this.told.reports.find((each) => each.job === job);
      assert.ok(found, `job ${job} is not reported; ${JSON.stringify(this.told.deaths)}`);
      return found;
    }, 30_000);
  }

  died(): Promise<Told["deaths"][number]> {
    return eventually(() => {
      assert.equal(this.told.deaths.length, 1, JSON.stringify(this.told.deaths));
      return this.told.deaths[0];
    }, 30_000);
  }

  close(): void {
    this.isolate.terminate();
  }

  #answer(request: RelayRequest, answer: (answer: RelayAnswer) => void): void {
    const { requests } = this.told;
    requests.push(request);
    const { run } = request;
    if (request.kind === "send") answer({ kind: "stored", run });
    if (request.kind === "finish") answer({ kind: "finished", run });
    if (request.kind !== "take") return;
    const isFirst = requests.filter(({ kind }) => kind === "take").length === 1;
    answer({ kind: "texts", run, texts: isFirst ? ['{"to": "the task"}'] : [END] });
  }
}

/** Runs `check` with an isolate that ends with it. */
function withBench(check: (bench: Bench) => Promise<void>, ...given: ConstructorParameters<typeof Bench>) {
  return async () => {
    const bench = await Bench.start(...given);
    try {
      await check(bench);
    } finally {
      bench.close();
    }
  };
}

/** Whether a process is there. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

for (const kind of ["thread", "process"] as const) {
  describe(`an isolate that is a ${kind}`, () => {
    it(
      "runs tasks and tells what came of them",
      withBench(async (bench) => {
        const { report, stored } = await bench.run("add", 1, 2);
        assert.equal(report, Report.SUCCESS);
        assert.equal(stored.result, 3);
        const { stored: kinds } = await bench.run("kinds");
        assert.deepEqual(kinds, (await bench.run("kinds")).stored);
        const failed = await bench.run("fail");
        assert.equal(failed.report, Report.FAILURE);
        const { exc_type, exc_message } = failed.stored.result as Record<string, unknown>;
        assert.deepEqual([exc_type, exc_message], ["RangeError", ["out of range"]]);
        assert.match(String(failed.stored.traceback), /process_tasks\.ts:\d+/);
        assert.equal((await bench.run("nothing")).report, Report.DEAD);
        assert.equal((await bench.run("add", 1, 2, 3)).report, Report.DEAD);
      }, kind),
    );

    it(
      "tells states, lines, and whose they are",
      withBench(async (bench) => {
        await bench.run("states");
        assert.deepEqual(bench.told.states.map(([id, state]) => [id, state]), [
          ["id-of-states", "STARTED"],
          ["id-of-states", "PROGRESS"],
        ]);
        const { pid } = JSON.parse(bench.told.states[0][2]).result;
        assert.equal(pid === process.pid, kind === "thread");
        await bench.run("print");
        const line = bench.told.lines.find(({ own }) => own);
        assert.deepEqual([line?.text, line?.id, line?.task], [
          "printed { by: 'the task' }",
          "id-of-print",
          "jobs.print",
        ]);
      }, kind),
    );

    it(
      "gets nothing beside an exclusive task, which is known of outside of it",
      withBench(
        async (bench) => {
          const { isolate: { board }, told } = bench;
          const folder = await mkdtemp(join(tmpdir(), "celeriac-kinds-"));
          const gate = join(folder, "gate");
          const alone = bench.give("alone", gate);
          await eventually(() => assert.equal(board.isExclusive, true), 30_000);
          const behind = bench.give("kinds");
          await writeFile(gate, "");
          await bench.reported(alone);
          assert.equal(board.isExclusive, false);
          await bench.reported(behind);
          assert.deepEqual(told.reports.map(({ job }) => job), [alone, behind]);
          await rm(folder, { recursive: true });
        },
        kind,
        { slots: 3 },
      ),
    );

    it(
      "sends and reads messages",
      withBench(async (bench) => {
        const { stored } = await bench.run("talk");
        assert.deepEqual(stored.result, [{ to: "the task" }]);
        const [send] = bench.told.requests;
        assert.equal(send.kind === "send" && send.lines, '{"said":"by the task"}');
      }, kind),
    );

    it(
      "lets go of jobs that have not started, and of no other",
      withBench(async (bench) => {
        const first = bench.give("wait", 50),
          second = bench.give("add", 1, 1),
          third = bench.give("add", 2, 2);
        await eventually(() => assert.equal(bench.isolate.board.state(first), "running"));
        assert.equal(bench.isolate.board.takeBack(second), true);
        assert.equal(bench.isolate.board.takeBack(first), false);
        assert.equal(JSON.parse((await bench.reported(third)).text).result, 4);
        assert.deepEqual(bench.told.reports.map(({ job }) => job), [first, third]);
        assert.equal(bench.isolate.board.state(third), "done");
      }, kind),
    );

    it(
      "runs as many at once as it has slots",
      withBench(
        async (bench) => {
          const [first, second, third] = [
            bench.give("wait", 100),
            bench.give("wait", 100),
            bench.give("add", 1, 1),
          ];
          await eventually(() => assert.equal(bench.isolate.board.state(second), "running"));
          assert.equal(bench.isolate.board.state(first), "running");
          assert.equal(bench.isolate.board.state(third), "waiting");
          await bench.reported(third);
        },
        kind,
        { slots: 2 },
      ),
    );

    it(
      "starts nothing behind a task that computes, which can then be taken back",
      withBench(
        async (bench) => {
          const busy = bench.give("busy", 300);
          await eventually(() => assert.equal(bench.isolate.board.state(busy), "running"));
          const behind = bench.give("add", 1, 1);
          assert.equal(bench.isolate.board.takeBack(behind), true);
          await bench.reported(busy);
        },
        kind,
        { slots: 2 },
      ),
    );

    it(
      "tells how long a task may run, and when it started",
      withBench(async (bench) => {
        const headers = { lang: "js", task: "jobs.wait", id: "limited", timelimit: [30, null] };
        const begun = Date.now();
        const job = bench.giveText(
          encodeEnvelope(taskMessage("celery", "", { headers, body: "[[100], {}, {}]" })),
        );
        await eventually(() => assert.equal(bench.isolate.board.limitOf(job), 30));
        assert.ok(bench.isolate.board.hasLimits);
        const started = bench.isolate.board.startedAt(job);
        assert.ok(started >= begun && started <= Date.now());
        await bench.reported(job);
      }, kind),
    );

    it(
      "answers a question once nothing holds it up",
      withBench(async (bench) => {
        const job = bench.give("busy", 20);
        bench.isolate.ask();
        await bench.reported(job);
      }, kind),
    );

    for (
      const [task, reason] of [["exit", /it called exit\(7\)/], [
        "throwOutside",
        /thrown by a timer/,
      ]] as const
    ) {
      it(
        `tells that it has ended when a task does what ${task} does`,
        withBench(async (bench) => {
          bench.give(task);
          const death = await bench.died();
          assert.match(death.reason, reason);
          assert.ok(death.how === undefined || death.how === "ended");
        }, kind),
      );
    }

    it("refuses modules that do not load", async () => {
      const modules = [{
        url: new URL("./not_there.ts", import.meta.url).href,
        path: "not_there.ts",
        name: "x",
      }];
      const bench = new Bench(kind, { modules });
      try {
        await assert.rejects(bench.isolate.start(), { name: "TaskModuleError", message: /not_there\.ts/ });
      } finally {
        bench.close();
      }
    });
  });
}

describe("a process of its own", () => {
  it(
    "is another process, which ends with its isolate",
    withBench(async (bench) => {
      const pid = (await bench.run("pid")).stored.result as number;
      assert.notEqual(pid, process.pid);
      assert.ok(isAlive(pid));
      bench.close();
      await eventually(() => assert.ok(!isAlive(pid)));
      assert.deepEqual(bench.told.deaths, []);
    }, "process"),
  );

  it(
    "may crash: that is told, and nothing else dies",
    withBench(async (bench) => {
      bench.give("crash");
      assert.deepEqual(await bench.died(), { reason: "its process was ended by SIGKILL", how: "crashed" });
    }, "process"),
  );

  it(
    "writes to the log what it prints past the console",
    withBench(async (bench) => {
      await bench.run("write");
      await eventually(() => {
        const said = bench.told.lines.map(({ level, text }) => `${level}: ${text}`).sort();
        assert.deepEqual(said, ["info: on standard output", "warning: on standard error"]);
      });
    }, "process"),
  );

  for (const where of ["heap", "buffers"]) {
    it(
      `ends when its tasks take more memory than they may, of ${where}`,
      withBench(
        async (bench) => {
          bench.give("hoard", where);
          const { reason, how } = await bench.died();
          assert.match(reason, /^its tasks may take 64 MB of memory/);
          assert.equal(how, "out of memory");
        },
        "process",
        { memoryLimit: 64 * MB },
      ),
    );
  }

  it(
    "may produce as much garbage as it likes",
    withBench(
      async (bench) => {
        assert.equal((await bench.run("waste")).stored.result, 40_000_000);
      },
      "process",
      { memoryLimit: 64 * MB },
    ),
  );
});
