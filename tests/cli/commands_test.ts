/** Commands that need no broker, run as processes. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { Folder } from "./folder.ts";

const folders: Folder[] = [];
after(() => Promise.all(folders.map((folder) => folder[Symbol.asyncDispose]())));

async function folderWith(files: Record<string, string> = {}): Promise<Folder> {
  const folder = await Folder.with(files);
  folders.push(folder);
  return folder;
}

async function celeriac(args: readonly string[]): ReturnType<Folder["run"]> {
  return (await folderWith()).run(args);
}

describe("celeriac", () => {
  it("prints its help with exit codes, and its version", async () => {
    const [help, none, version] = await Promise.all([
      celeriac(["--help"]),
      celeriac([]),
      celeriac(["--version"]),
    ]);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Exit codes:\n +0 /);
    assert.equal(none.code, 2);
    assert.match(version.stdout, /^celeriac \d+\.\d+\.\d+ \((deno|bun) [\d.]+; source files\)\n$/);
  });

  it("suggests what was meant, and exits with 2", async () => {
    const command = await celeriac(["wroker"]);
    assert.equal(command.code, 2);
    assert.match(command.stderr, /unknown command 'wroker'\n\(Did you mean worker\?\)/);
    const flag = await celeriac(["worker", "--concurency", "2"]);
    assert.equal(flag.code, 2);
    assert.match(flag.stderr, /unknown option '--concurency'\n\(Did you mean --concurrency\?\)/);
  });

  it("reads shared flags before and after the command", async () => {
    const folder = await folderWith({ "a.json": '{"taskDefaultQueue": "mail"}' });
    for (const line of [["--config", "a.json", "report"], ["report", "--config", "a.json"]]) {
      const { stdout } = await folder.run([...line, "--json"]);
      const setting = JSON.parse(stdout).settings.find(({ name }: { name: string }) =>
        name === "taskDefaultQueue"
      );
      assert.deepEqual(setting, { name: "taskDefaultQueue", value: "mail", from: "a.json" });
    }
  });
});

describe("celeriac report", () => {
  it("says where settings come from and masks passwords", async () => {
    const folder = await folderWith({
      "celeriac.ts": 'export default { resultBackend: "redis://:secret@h/1", resultExpires: 5 };',
    });
    const env = { CELERY_BROKER_URL: "redis://me:secret@h/0" };
    const { code, stdout, stderr } = await folder.run(["report", "-b", "redis://flag:secret@h/2"], env);
    assert.equal(code, 0);
    assert.match(stdout, /brokerUrl +"redis:\/\/flag:\*\*@h\/2" +the command line\n/);
    assert.match(stdout, /resultBackend +"redis:\/\/:\*\*@h\/1" +celeriac\.ts\n/);
    assert.match(stdout, /resultExpires +5 +celeriac\.ts\n/);
    assert.match(stdout, /taskDefaultQueue +"celery" +default\n/);
    assert.ok(!`${stdout}${stderr}`.includes("secret"));
  });

  it("refuses a settings file with a mistake in one line", async () => {
    const folder = await folderWith({ "celeriac.json": '{"resultExpire": 5}' });
    const { code, stderr } = await folder.run(["report"]);
    assert.equal(code, 2);
    assert.equal(
      stderr,
      "error: celeriac.json: there is no setting resultExpire; did you mean resultExpires?\n",
    );
  });
});

describe("celeriac tasks", () => {
  it("lists tasks with parameters and options", async () => {
    const index = new URL("../../runtime/isolate/task_definition.ts", import.meta.url).href;
    const folder = await folderWith({
      "math.ts": `import { TASK_OPTIONS } from ${JSON.stringify(index)};
export function add(x: number, y: number) { return x + y; }
export const scale = Object.assign((x: number) => x, { [TASK_OPTIONS]: { params: ["x"], queue: "slow" } });`,
    });
    const { code, stdout } = await folder.run(["tasks", "-A", "math.ts", "--prefix", "shop"]);
    assert.equal(code, 0);
    assert.match(stdout, /^shop\.math\.add +- +- +math\.ts$/m);
    assert.match(stdout, /^shop\.math\.scale +x +queue="slow" +math\.ts$/m);
    const json = JSON.parse((await folder.run(["tasks", "-A", ".", "--json"])).stdout);
    assert.deepEqual(json.map(({ name }: { name: string }) => name), ["math.add", "math.scale"]);
  });

  it("exits with 2 for modules that can't be used", async () => {
    const folder = await folderWith({
      "throws.ts": 'throw new Error("no database");',
      "empty.ts": "export const a = 1;",
      "one.ts": "export default { f() {} };\nexport function f() {}",
      "exits.ts": 'import process from "node:process";\nprocess.exit(0);\nexport function f() {}',
    });
    const cases: [string, RegExp][] = [
      ["missing.ts", /^error: no task module missing\.ts/],
      ["throws.ts", /^error: throws\.ts does not load: [^]*no database/],
      ["empty.ts", /^error: empty\.ts has no tasks/],
      ["one.ts", /^error: two tasks are called one\.f/],
      ["exits.ts", /^error: the task modules ended their isolate while loading: it called exit\(0\)/],
    ];
    for (const [module, message] of cases) {
      const { code, stderr } = await folder.run(["tasks", "-A", module]);
      assert.equal(code, 2, module);
      assert.match(stderr, message);
    }
  });
});
