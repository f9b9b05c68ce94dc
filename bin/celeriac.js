#!/usr/bin/env node
/**
 * The command `celeriac` of the package. On Deno or Bun it is the command itself. On Node it looks for one of them
 * and becomes it: what is installed beside the project or beside celeriac, else what stands on the PATH;
 * `CELERIAC_RUNTIME=deno` or `bun` chooses. Without either it goes on here, where all but tasks can be run.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { constants as system, devNull } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);
const suffix = process.platform === "win32" ? ".exe" : "";
/**
 * What each runtime is called with, and where its program lies: in the package for this machine that its npm package
 * brings along, or in that itself, where its install script, if it may run, puts or moves it. A smaller young
 * generation costs a busy worker on Deno no time and saves a third of its memory; permissions of tasks need the worker
 * options, and what a task may not do is denied without asking at the terminal.
 */
const runtimes = {
  deno: {
    flags: ["run", "-A", "--no-prompt", "--unstable-worker-options", "--v8-flags=--max-semi-space-size=8"],
    brought: `deno${suffix}`,
    own: `deno${suffix}`,
  },
  bun: { flags: ["--no-env-file", `--config=${devNull}`], brought: `bin/bun${suffix}`, own: "bin/bun.exe" },
};

/** The program that an installed package `deno` or `bun` stands for. */
function programOf(name, manifest) {
  const { brought, own } = runtimes[name];
  const { optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8"));
  const near = createRequire(manifest);
  for (const dependency of Object.keys(optionalDependencies)) {
    try {
      const program = join(dirname(near.resolve(`${dependency}/package.json`)), brought);
      if (existsSync(program)) return program;
    } catch {
      // It is for another kind of machine.
    }
  }
  const program = join(dirname(manifest), own);
  return existsSync(program) ? program : undefined;
}

function installed(name) {
  for (const place of [join(process.cwd(), "package.json"), self]) {
    try {
      const program = programOf(name, createRequire(place).resolve(`${name}/package.json`));
      if (program !== undefined) return program;
    } catch {
      // There is none.
    }
  }
  return undefined;
}

function onPath(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const program = join(folder, name + suffix);
    try {
      accessSync(program, constants.X_OK);
    } catch {
      continue;
    }
    // What npm has put there may be a script of Node's, which keeps signals to itself.
    const manifest = resolve(realpathSync(program), "../package.json");
    return (existsSync(manifest) && programOf(name, manifest)) || program;
  }
  return undefined;
}

function findRuntime() {
  const chosen = process.env.CELERIAC_RUNTIME;
  if (chosen && !(chosen in runtimes)) fail(`CELERIAC_RUNTIME is "${chosen}": set it to deno or bun`);
  const names = chosen ? [chosen] : Object.keys(runtimes);
  for (const find of [installed, onPath]) {
    for (const name of names) {
      const program = find(name);
      if (program !== undefined) return { program, args: [...runtimes[name].flags, self] };
    }
  }
  if (chosen) fail(`CELERIAC_RUNTIME is "${chosen}", and there is no ${chosen}: npm install ${chosen}`);
  return undefined;
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(2);
}

/** Runs it in this process's place, or where Node can't do that, as a child that gets its signals and ends with it. */
function become(program, args) {
  // Node warns of a feature that is new to it; nobody who runs celeriac has asked.
  if (process.execve && process.platform !== "win32") return process.execve(program, [program, ...args]);
  const child = spawn(program, args, {
    stdio: "inherit",
    env: { ...process.env, CELERIAC_LAUNCHER: String(process.pid) },
  });
  // A terminal sends Ctrl+C to both: the child takes two of them at once for one.
  for (const name of ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"]) {
    process.on(name, () => child.kill(name));
  }
  child.on("error", (error) => fail(`${program} can't be run: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + system.signals[signal]));
}

/** Stops, warmly, when the launcher is killed: nobody would be left who could. */
function endWith(launcher) {
  const look = setInterval(() => {
    if (process.ppid === launcher) return;
    clearInterval(look);
    process.kill(process.pid, "SIGTERM");
  }, 1000);
  look.unref();
}

const runtime = globalThis.Deno || process.versions.bun ? undefined : findRuntime();
if (runtime !== undefined) {
  become(runtime.program, [...runtime.args, ...process.argv.slice(2)]);
} else {
  const launcher = Number(process.env.CELERIAC_LAUNCHER);
  // It is meant for this process and for none that a task may start.
  delete process.env.CELERIAC_LAUNCHER;
  if (launcher) endWith(launcher);
  await import("../lib/runtime/main.js");
}
