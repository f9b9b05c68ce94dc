/**
 * Tasks with permissions, in real isolates: what is denied on Deno, however code goes about it, and works with the
 * permission; and that a runtime which can't enforce it says so.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { TaskError } from "../../mod.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { confinesIsolates } from "../../runtime/platform.ts";
import { within } from "../conformance/patience.ts";
import { run } from "../servers/worker.ts";
import { setUp } from "../worker/in_process.ts";

const MOD = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
const EVERYTHING =
  `{ read: true, write: true, net: true, env: true, run: true, ffi: true, sys: true, import: true }`;

/** Runs any code; what it may reach is up to the task. */
const PROBE = `
  import { task } from ${MOD};
  import * as probe from "probe";
  const AsyncFunction = (async () => {}).constructor as new (...texts: string[]) => (...given: unknown[]) => Promise<unknown>;
  const evaluate = (code: string, given: unknown) =>
    new AsyncFunction("given", "probe", "{ const { folder, port } = given; " + code + " }")(given, probe);
`;

const files: Record<string, string> = {
  "outside/secret.txt": "a secret",
  "outside/secret.json": `"a secret"`,
  "outside/secret.ts": `export default "a secret";`,
  "outside/secret.cjs": `module.exports = "a secret";`,
  "project/package.json": `{ "dependencies": { "probe": "1" } }`,
  "project/node_modules/probe/package.json":
    `{ "name": "probe", "version": "1.0.0", "type": "module", "exports": "./index.js" }`,
  "project/node_modules/probe/index.js": `
    import { readFileSync } from "node:fs";
    import { createRequire } from "node:module";
    export const read = (file) => readFileSync(file, "utf8");
    export const required = (file) => createRequire(import.meta.url)(file);
    export const imported = async () => (await import("../../../outside/secret.ts")).default;
    export const text = async () => (await import("../../../outside/secret.txt", { with: { type: "text" } })).default;
  `,
  "project/tasks.ts": `${PROBE}
    export const none = task({ permissions: "none" }, evaluate);
    export const all = task({ permissions: ${EVERYTHING} }, evaluate);
    export const apart = task({ permissions: "none", isolation: "process" }, evaluate);
    export const own = () => 1;
  `,
};

const inWorker = (source: string, permissions = "") => `
  const worker = new Worker("data:text/javascript," + encodeURIComponent(${source}), { type: "module"${permissions} });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => data.error ? reject(new Error(data.error)) : resolve(data.text);
      worker.onerror = (event) => { event.preventDefault(); reject(new Error(event.message)); };
    });
  } finally { worker.terminate(); }`;
const READS = `"try { postMessage({ text: Deno.readTextFileSync('" + folder + "/secret.txt') }) } " +
  "catch (error) { postMessage({ error: error.message }) }"`;
const textOf = (how: string) => `return (await import(${how})).default;`;
const IMPORTS_TEXT =
  `"import x from 'file://" + folder + "/secret.txt' with { type: 'text' }; export default x;"`;

/** Ways to what a task may not reach: code, whose value is "a secret" where it may. */
const ways: Record<string, string> = {
  "Deno.readTextFile": `return await Deno.readTextFile(folder + "/secret.txt");`,
  "node:fs": `return (await import("node:fs")).readFileSync(folder + "/secret.txt", "utf8");`,
  "a computed import": textOf(`folder + "/secret.ts"`),
  "a computed import of JSON": textOf(`folder + "/secret.json", { with: { type: "json" } }`),
  "a computed import of text": textOf(`folder + "/secret.txt", { with: { type: "text" } }`),
  "an import by eval":
    `return (await eval("import(" + JSON.stringify(folder + "/secret.ts") + ")")).default;`,
  "a data: module that imports a file": textOf(
    `"data:text/javascript,export { default } from 'file://" + folder + "/secret.ts'"`,
  ),
  "a data: module that imports text": textOf(`"data:text/javascript," + encodeURIComponent(${IMPORTS_TEXT})`),
  "a blob: module that imports text": textOf(
    `URL.createObjectURL(new Blob([${IMPORTS_TEXT}], { type: "text/javascript" }))`,
  ),
  "a worker that asks for permissions": inWorker(READS, `, deno: { permissions: { read: true } }`),
  "a worker that inherits permissions": inWorker(READS),
  "a worker that imports text": inWorker(
    `"import text from 'file://" + folder + "/secret.txt' with { type: 'text' }; postMessage({ text });"`,
  ),
  "node:worker_threads": `
    const { Worker } = await import("node:worker_threads");
    const worker = new Worker(
      "const { parentPort } = require('node:worker_threads');" +
        "try { parentPort.postMessage({ text: require('node:fs').readFileSync('" + folder + "/secret.txt', 'utf8') }) }" +
        "catch (error) { parentPort.postMessage({ error: error.message }) }",
      { eval: true },
    );
    try {
      return await new Promise((resolve, reject) => {
        worker.on("message", ({ text, error }) => error ? reject(new Error(error)) : resolve(text));
        worker.on("error", reject);
      });
    } finally { await worker.terminate(); }`,
  "require": `return (await import("node:module")).createRequire(folder + "/x.js")("./secret.cjs");`,
  "a package that reads": `return probe.read(folder + "/secret.txt");`,
  "a package that requires": `return probe.required(folder + "/secret.json");`,
  "a package that imports": `return await probe.imported();`,
  "a package that imports text": `return await probe.text();`,
  "node:child_process": `
    const { execFileSync } = await import("node:child_process");
    return execFileSync("/bin/cat", [folder + "/secret.txt"], { encoding: "utf8" });`,
  "Deno.Command": `
    const { stdout } = await new Deno.Command("/bin/cat", { args: [folder + "/secret.txt"] }).output();
    return new TextDecoder().decode(stdout);`,
  "node:sqlite": `
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(":memory:");
    database.exec("ATTACH '" + folder + "/secret.db' AS secret");
    return "a secret";`,
  "writing": `
    await Deno.writeTextFile(folder + "/written.txt", "a secret");
    return await Deno.readTextFile(folder + "/written.txt");`,
  "fetch": `return await (await fetch("http://127.0.0.1:" + port)).text();`,
  "a module from another host": textOf(`"http://127.0.0.1:" + port + "/module.js"`),
  "node:net": `
    const { connect } = await import("node:net");
    return await new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", reject).on("connect", () => { socket.destroy(); resolve("a secret"); });
    });`,
  "node:http": `
    const { get } = await import("node:http");
    return await new Promise((resolve, reject) =>
      get("http://127.0.0.1:" + port, async (answer) => {
        let text = "";
        for await (const part of answer) text += part;
        resolve(text);
      }).on("error", reject)
    );`,
  "Deno.env": `return Deno.env.get("CELERIAC_TEST_SECRET");`,
  "process.env": `return process.env.CELERIAC_TEST_SECRET;`,
  "Deno.dlopen": `
    try { Deno.dlopen(folder + "/secret.txt", {}); }
    catch (error) { if (error.name === "NotCapable") throw error; return "a secret"; }`,
  "Deno.hostname": `Deno.hostname(); return "a secret";`,
  "Deno.permissions.request": `
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Error("Requires read access: " + state);
    return "a secret";`,
};

const DENIED = /Requires \w+ access|Can't escalate|too many attached databases|(not authorized|denied)/i;

let root = "", server: Server, place: ReturnType<typeof setUp>;

before(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "celeriac-sandbox-")));
  for (const [name, text] of Object.entries(files)) await write(name, text);
  process.env.CELERIAC_TEST_SECRET = "a secret";
  server = createServer(({ url }, answer) => {
    answer.setHeader("content-type", url === "/module.js" ? "text/javascript" : "text/plain");
    answer.end(url === "/module.js" ? `export default "a secret";` : "a secret");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  place = setUp();
});
after(async () => {
  await place.close();
  server.close();
  await rm(root, { recursive: true });
});

async function write(name: string, text: string): Promise<string> {
  await mkdir(dirname(join(root, name)), { recursive: true });
  await writeFile(join(root, name), text);
  return join(root, name);
}

const given = () => ({ folder: join(root, "outside"), port: (server.address() as AddressInfo).port });
const call = (task: string, code: string) => place.app.sendTask<unknown>(task, [code, given()]);

async function denied(task: string, code: string): Promise<TaskError> {
  const error: unknown = await within(20_000, call(task, code), task).then(
    (value) => assert.fail(`it was not denied: ${JSON.stringify(value)}`),
    (error) => error,
  );
  assert.ok(error instanceof TaskError, String(error));
  assert.match(error.message, DENIED);
  return error;
}

async function refusal(name: string, text: string, settings: GivenSettings = {}): Promise<string> {
  const other = setUp(settings);
  const file = await write(name, text);
  try {
    await other.worker([file]);
    assert.fail("it was not refused");
  } catch (error) {
    assert.equal((error as Error).name, "TaskModuleError", String(error));
    return (error as Error).message.replaceAll(root, "");
  } finally {
    await other.close();
  }
}

if (confinesIsolates) {
  describe("a task with permissions", () => {
    before(() => place.worker([join(root, "project/tasks.ts")], { concurrency: 4 }));

    for (const [way, code] of Object.entries(ways)) {
      it(`is denied what it may not reach by ${way}, and gets it where it may`, async () => {
        await denied("tasks.none", code);
        assert.equal(await within(20_000, call("tasks.all", code), "tasks.all"), "a secret");
      });
    }

    it("fails with the runtime's own error", async () => {
      const error = await denied("tasks.none", ways["Deno.readTextFile"]);
      assert.equal(error.type, "NotCapable");
      assert.match(
        error.message,
        /^Requires read access to ".*secret\.txt", run again with the --allow-read flag$/,
      );
    });

    it("is as confined in a process of its own", async () => {
      for (const way of ["node:fs", "a computed import of text", "fetch", "process.env"]) {
        await denied("tasks.apart", ways[way]);
      }
      assert.equal(await call("tasks.apart", "return 6 * 7;"), 42);
    });

    it("is not told where the worker's broker is", async () => {
      const code = `return JSON.stringify(globalThis[Symbol.for("celeriac.worker.settings")]);`;
      assert.doesNotMatch(await call("tasks.none", code) as string, /memory:/);
      assert.match(await place.app.sendTask("tasks.own").then(String), /1/);
    });

    it("can't speak for others, nor get hold of what its isolate speaks through", async () => {
      const traps = `
        globalThis.caught = [];
        const trap = function (...given) { caught.push(this, ...given); };
        const event = (data) => Object.defineProperty(MessageEvent.prototype, data, {
          configurable: true,
          get: trap,
          set(value) {
            Object.defineProperty(this, data, { value });
            caught.push(this);
          },
        });
        event("data");
        for (const name of ["compareExchange", "store", "load", "add"]) Atomics[name] = trap;
        EventTarget.prototype.dispatchEvent = trap;
        MessagePort.prototype.dispatchEvent = trap;
        Object.defineProperty(MessagePort.prototype, "onmessage", { set: trap });
        postMessage({ kind: "died", reason: "forged" });
        new BroadcastChannel("celeriac").postMessage({ kind: "died", reason: "forged" });
        const { parentPort } = await import("node:worker_threads");
        parentPort?.postMessage({ kind: "died", reason: "forged" });
        return "set";`;
      const look = `
        const ports = caught.map((each) => each?.target).filter((each) => each instanceof MessagePort);
        for (const port of ports) {
          port.postMessage({ kind: "died", reason: "forged" });
          port.postMessage([[0, { kind: "died", reason: "forged" }]]);
          port.postMessage(null);
        }
        return caught.filter((each) => each instanceof MessagePort || ArrayBuffer.isView(each)).length;`;
      assert.equal(await call("tasks.none", traps), "set");
      assert.equal(await call("tasks.none", look), 0);
      assert.ok(await call("tasks.none", "return caught.length;") as number > 0, "its isolate goes on");
    });
  });

  describe("a worker with --sandbox", () => {
    it("confines what says nothing, and grants what is named", async () => {
      const other = setUp({ workerSandbox: true });
      const secret = JSON.stringify(join(root, "outside/secret.txt"));
      const file = await write(
        "sandboxed/tasks.ts",
        `import { readFileSync } from "node:fs";
        import { task } from ${MOD};
        export const plain = () => readFileSync(${secret}, "utf8");
        export const named = task({ permissions: { read: [${secret}] } }, plain);
        export const trusted = task({ permissions: "inherit" }, plain);`,
      );
      try {
        await other.worker([file], { concurrency: 2 });
        await assert.rejects(async () => await other.app.sendTask("tasks.plain"), /Requires read access/);
        assert.equal(await other.app.sendTask("tasks.named"), "a secret");
        assert.equal(await other.app.sendTask("tasks.trusted"), "a secret");
      } finally {
        await other.close();
      }
    });

    it("loads modules without permissions, and says what they want at their start", async () => {
      assert.match(
        await refusal(
          "early.ts",
          `import process from "node:process";\nexport const home = process.env.HOME;\nexport const f = () => 1;`,
          { workerSandbox: true },
        ),
        /early\.ts does not load: NotCapable: Requires env access to "HOME"[^]*early\.ts:2/,
      );
    });
  });

  describe("modules of tasks with permissions", () => {
    it("are refused where they name files that are no code, or lie elsewhere", async () => {
      const text = (source: string) =>
        `import { task } from ${MOD};\nexport const f = task({ permissions: "none" }, () => ${source});`;
      assert.match(
        await refusal("text.ts", text(`import("./outside/secret.txt", { with: { type: "text" } })`)),
        /^\/text\.ts:2 imports \.\/outside\/secret\.txt, as text: /,
      );
      assert.match(
        await refusal("far.ts", text(`import("/etc/hosts")`)),
        /^\/far\.ts:2 imports \/etc\/hosts, which lies/,
      );
    });

    it("are refused for permissions that there are not", async () => {
      assert.match(
        await refusal(
          "wrong.ts",
          `import { task } from ${MOD};\nexport const f = task({ permissions: { raed: true } as never }, () => 1);`,
        ),
        /^the task wrong\.f in \/wrong\.ts: there is no permission raed; did you mean read\?/,
      );
    });
  });
} else {
  describe("a task with permissions, where they can't be enforced", () => {
    const why =
      /can't enforce: run the worker on Deno, or accept that its tasks reach all that the worker itself may, with --allow-unsandboxed/;

    it("is refused at the start of its worker", async () => {
      const message = await refusal("project/tasks.ts", files["project/tasks.ts"]);
      assert.match(
        message,
        /^the task tasks\.(none|all|apart) in \/project\/tasks\.ts: it has permissions of its own, which Bun/,
      );
      assert.match(message, why);
    });

    it("runs where the worker is told to accept that", async () => {
      const other = setUp({ workerAllowUnsandboxed: true });
      try {
        await other.worker([join(root, "project/tasks.ts")]);
        const code = `return process.env.CELERIAC_TEST_SECRET;`;
        assert.equal(await other.app.sendTask("tasks.none", [code, given()]), "a secret");
      } finally {
        await other.close();
      }
    });

    it("is nothing that --sandbox gets by", async () => {
      const { code, stderr } = await run([
        "worker",
        "-A",
        join(root, "project/tasks.ts"),
        "--sandbox",
        "-b",
        `sqlite:${root}/b.db`,
      ]);
      assert.equal(code, 2);
      assert.match(stderr, why);
    });
  });
}
