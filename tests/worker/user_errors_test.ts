/** Errors of task code, at load and at run, show the user's own file and line and nothing of celeriac's. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { TaskError } from "../../mod.ts";
import { loadTasks, TaskModuleError } from "../../runtime/isolate/load_modules.ts";
import { eventually } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "celeriac-errors-"));
});
after(() => rm(folder, { recursive: true }));

describe("an error that a task throws", () => {
  const tasks = `import { deep } from "./helper.ts";

interface Unused { readonly a: number }

export function now(): never {
  throw new RangeError("now");
}
export async function later(): Promise<void> {
  await Promise.resolve();
  throw new RangeError("later");
}
export const inHelper = (): unknown => [deep({ a: 1 })];
export async function inTimer(): Promise<never> {
  return await new Promise((_, reject) =>
    setTimeout(() => {
      reject(new RangeError("inTimer"));
    }, 1)
  );
}
export function caused(): never {
  try {
    return deep(null);
  } catch (cause) {
    throw new Error("caused", { cause });
  }
}
export function plain(): never {
  throw { code: 7 };
}
export const noValue = (): unknown => ({ run: () => 1 });
`;
  const helper = `type Given = { a: number } | null;

export function deep(given: Given): never {
  throw new RangeError("inHelper" + (given?.a ?? ""));
}
`;
  // Where the trace begins, and what else it must name.
  const places: Record<string, string[]> = {
    now: ["jobs.ts:6"],
    later: ["jobs.ts:10"],
    inHelper: ["helper.ts:4", "jobs.ts:12"],
    inTimer: ["jobs.ts:16"],
    caused: ["jobs.ts:24", "Caused by: RangeError: inHelper", "helper.ts:4", "jobs.ts:22"],
  };
  const place = setUp();
  const lines: string[] = [];
  before(async () => {
    configureSync({
      sinks: { lines: (record: LogRecord) => void lines.push(String(record.rawMessage)) },
      loggers: [
        { category: ["celeriac", "task"], lowestLevel: "info", sinks: ["lines"] },
        { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
      ],
    });
    await writeFile(join(folder, "jobs.ts"), tasks);
    await writeFile(join(folder, "helper.ts"), helper);
    await place.worker([join(folder, "jobs.ts")]);
  });
  after(async () => {
    await place.close();
    resetSync();
  });

  for (const [task, [first, ...others]] of Object.entries(places)) {
    it(`is traced to its place, in its result and in the log: ${task}`, async () => {
      const result = place.app.sendTask(`jobs.${task}`);
      const error = await result.get({ propagate: false }) as TaskError;
      assert.ok(error instanceof TaskError);
      const trace = error.traceback!;
      const frames = trace.split("\n").filter((line) => /^\s+at /.test(line));
      assert.ok(frames[0].includes(`/${first}:`), trace);
      for (const other of others) assert.ok(trace.includes(other), trace);
      assert.doesNotMatch(trace, /runtime\/|node:|ext:|native/);
      await eventually(() => {
        const line = lines.find((line) => line.includes(result.id));
        assert.ok(line?.includes(trace), String(line));
      });
    });
  }

  it("is told as it is, when it is no error", async () => {
    const { id } = place.app.sendTask("jobs.plain");
    await eventually(() =>
      assert.ok(lines.some((line) => line.includes(id) && line.includes("{ code: 7 }")))
    );
  });

  it("is traced to its path in the value, when what it returns can't be written", async () => {
    const error = await place.app.sendTask("jobs.noValue").get({ propagate: false }) as TaskError;
    assert.match(error.message, /run/);
    assert.doesNotMatch(error.traceback ?? "", /runtime\//);
  });
});

describe("a module that does not load", () => {
  let count = 0;
  before(() => writeFile(join(folder, "there.ts"), "export const task = 1;\n"));

  /** The message for a module that imports \`text\` from a file called \`bad\`. */
  async function refusal(text: string): Promise<string> {
    const name = `load${++count}`;
    await writeFile(join(folder, `bad${count}.ts`), text);
    const file = join(folder, `${name}.ts`);
    await writeFile(file, `import "./bad${count}.ts";\nexport const task = () => 1;\n`);
    try {
      await loadTasks([{ url: `file://${file}`, path: `${name}.ts`, name }]);
    } catch (error) {
      assert.ok(error instanceof TaskModuleError);
      assert.ok(error.message.startsWith(`${name}.ts does not load: `), error.message);
      assert.doesNotMatch(error.message, /\[object|BuildMessage|ResolveMessage|runtime\/|\[3\dm/);
      return error.message;
    }
    throw new Error("it loads");
  }

  const cases: [what: string, text: string, message: RegExp, line: number][] = [
    [
      "a syntax error",
      "type A = string;\n\nexport const a: A = 2 +* 3;\n",
      /SyntaxError: .*\n.*\n3 \| +export const a/,
      3,
    ],
    ["an unclosed text", 'export const a = 1;\nexport const b = "abc;\n', /SyntaxError: /, 2],
    ["a missing file", '\nimport { a } from "./nowhere.ts";\nexport { a };\n', /nowhere\.ts/, 2],
    [
      "a missing package",
      '\n\nimport a from "a-package-that-is-missing/x";\nexport { a };\n',
      /a-package-that-is-missing/,
      3,
    ],
    [
      "a missing export",
      'import {\n  task,\n} from "./there.ts";\nimport { nope } from "./there.ts";\nexport { nope, task };\n',
      /nope/,
      4,
    ],
    [
      "an error",
      "interface A { a: 1 }\nfunction f(): never {\n  throw new RangeError('at load');\n}\nf();\n",
      /RangeError: at load/,
      3,
    ],
    [
      "an error after a wait",
      "await Promise.resolve();\n\nthrow new RangeError('late');\n",
      /RangeError: late/,
      3,
    ],
  ];
  for (const [what, text, message, line] of cases) {
    it(`says what and where: ${what}`, async () => {
      const said = await refusal(text);
      assert.match(said, message);
      assert.match(said, new RegExp(`/bad${count}\\.ts:${line}:\\d+`));
    });
  }

  it("says where JSON is broken, by its file", async () => {
    await writeFile(join(folder, "broken.json"), '{ "a": }');
    const said = await refusal('import a from "./broken.json" with { type: "json" };\nexport { a };\n');
    assert.match(said, /\/broken\.json/);
  });

  it("shows what it throws if that is no error", async () => {
    assert.match(await refusal("throw { code: 7 };\n"), /it throws \{ code: 7 \}$/);
  });
});
