/** Every difference between Deno, Bun and Node, in one place; the rest of the code asks here. */
import { readFileSync, write } from "node:fs";
import { basename, extname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

interface DenoGlobal {
  readonly version: { readonly deno: string };
  readonly build: { readonly standalone: boolean };
  readonly mainModule: string;
  readonly stderr: { write(bytes: Uint8Array): Promise<number> };
  exit(code?: number): never;
}

/** What is used of Bun beyond what Node has, too. */
interface BunGlobal extends Bundler {
  plugin(plugin: { name: string; setup(build: BunPlugin): void }): void;
}
interface BunPlugin {
  module(name: string, load: () => Promise<{ exports: unknown; loader: "object" }>): void;
}

/** As much of Bun's bundler as is used here. */
export interface Bundler {
  build(config: Readonly<Record<string, unknown>>): Promise<{
    readonly success: boolean;
    readonly logs: readonly { readonly level: string; readonly message: string }[];
  }>;
}

const deno = (globalThis as { Deno?: DenoGlobal }).Deno;
const bun = (globalThis as { Bun?: BunGlobal }).Bun;

/** The runtimes celeriac knows; on Node the client works, the worker does not. */
export type RuntimeName = "deno" | "bun" | "node";

/** The runtime this process runs on. */
export const runtimeName: RuntimeName = deno ? "deno" : process.versions.bun ? "bun" : "node";

/** Its version, as `2.9.6`. */
export const runtimeVersion: string = deno?.version.deno ?? process.versions.bun ?? process.versions.node;

/** The folder of all that is inside an executable which Bun made (on Windows it has another name); else undefined. */
export const insideBun: string | undefined = /^file:\/\/.*\/(?:\$bunfs|(?:~|%7E)BUN)\/root\//.exec(
  import.meta.url,
)?.[0];

/** Whether program and runtime are one executable file, made by `celeriac compile` or by `deno compile`. */
export const isOneFile: boolean = insideBun !== undefined || deno?.build.standalone === true;

/** The folder that {@linkcode programFile} starts from, and how its files end: `.js` where they were built. */
const programFolder = insideBun === undefined ? import.meta.url : `${insideBun}runtime/`;
const programEnding = insideBun === undefined ? extname(import.meta.url) : ".js";

/**
 * One of the program's own files, by its path from here without its ending: what threads, isolates and child processes
 * begin with. It is found in a checkout, in a package of built files, and inside an executable, where it must be one of
 * the entries that `build/entries.ts` lists.
 */
export function programFile(path: string): URL {
  return new URL(`${path}${programEnding}`, programFolder);
}

/**
 * Lets code of this thread that is loaded later import `celeriac` by its name, though nothing may be installed beside
 * it. Deno has no such means: there the name stands in the `deno.json` by which it runs.
 */
export function provideLibrary(): void {
  bun?.plugin({
    name: "celeriac",
    setup(build) {
      for (const [name, path] of Object.entries(libraryModules)) {
        build.module(name, async () => ({ exports: await import(programFile(path).href), loader: "object" }));
      }
    },
  });
}

/** What the library's names stand for, as paths for {@linkcode programFile}. */
export const libraryModules: Readonly<Record<string, string>> = {
  "celeriac": "../mod",
  "celeriac/testing": "./testing",
};

/** Bun's bundler, which also makes executables; undefined elsewhere. */
export const bundler: Bundler | undefined = bun;

/** Ends this process. */
export function exit(code: number): never {
  process.exit(code);
}

/** The arguments of the command line, without the runtime's own. */
export function commandLine(): string[] {
  return process.argv.slice(2);
}

/** How a program is started as a child process. */
export interface ProgramCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * An executable that has been replaced or removed while it runs, by an upgrade, starts itself all the same and not what
 * lies in its place now.
 */
const OWN_EXECUTABLE = insideBun !== undefined && process.platform === "linux"
  ? "/proc/self/exe"
  : process.execPath;

/**
 * How this program is started once more, on the same runtime with the same flags, with `args` as its command line. With
 * `heapLimit` (bytes) its heap is bounded, as far as the runtime can do that: Deno then ends the process that needs more,
 * Bun only collects garbage in time.
 */
export function ownProgram(args: readonly string[], heapLimit?: number): ProgramCall {
  const before = isOneFile ? [] : [...(deno ? denoFlags() : bunFlags()), fileURLToPath(programFile("main"))];
  const env = heapLimit === undefined ? process.env : { ...process.env, ...heapBounds(heapLimit) };
  return { command: OWN_EXECUTABLE, args: [...before, ...args], env };
}

function heapBounds(bytes: number): Record<string, string> {
  if (!deno) return { BUN_JSC_forceRAMSize: String(bytes) };
  const { DENO_V8_FLAGS: others } = process.env;
  const own = `--max-old-space-size=${Math.ceil(bytes / 2 ** 20)}`;
  return { DENO_V8_FLAGS: others ? `${others},${own}` : own };
}

/**
 * Bytes that a process may hold beside what its tasks need, before too much memory is theirs for sure: garbage that is not
 * collected yet. V8 lets buffers outside of its heap grow by 64 MB before it looks; the heap itself it bounds.
 */
export const GARBAGE_ALLOWANCE: number = (deno ? 96 : 16) * 2 ** 20;

/** Flags that are for one process only: a child that watches files, or waits for a debugger, is of no use. */
const NOT_FOR_CHILDREN = /^--(watch|hot|hmr|inspect|coverage|eval|print|no-clear-screen)/;

/** What stands before the program's own file on Deno's command line; where that can't be told, what celeriac needs. */
function denoFlags(): string[] {
  const main = basename(deno?.mainModule ?? "");
  try {
    const words = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(1);
    const end = words.findIndex((word, i) => i > 0 && !word.startsWith("-") && basename(word) === main);
    if (words[0] === "run" && end > 0) {
      return words.slice(0, end).filter((flag) => !NOT_FOR_CHILDREN.test(flag));
    }
  } catch {
    // Only Linux has this file.
  }
  return ["run", "--allow-all", "--no-prompt", "--no-check", "--unstable-worker-options"];
}

function bunFlags(): string[] {
  return process.execArgv.filter((flag) => flag.startsWith("--") && !NOT_FOR_CHILDREN.test(flag));
}

/** Calls `run` on each signal of that name; the result takes it off again. */
export function onSignal(name: "SIGINT" | "SIGTERM" | "SIGQUIT" | "SIGHUP", run: () => void): () => void {
  process.on(name, run);
  return () => void process.off(name, run);
}

/**
 * Writes all of `bytes` to standard error without holding the event loop up where the reader is slow: on Deno both
 * `process.stderr.write` and `fs.write` block until a pipe has room.
 */
export async function writeStandardError(bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) {
    const written = deno ? await deno.stderr.write(rest) : await writeSome(2, rest);
    rest = rest.subarray(written);
  }
}

function writeSome(descriptor: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, (error, written) => {
      if (!error) resolve(written);
      // A pipe that does not wait has no room at the moment.
      else if (error.code === "EAGAIN") setTimeout(() => resolve(0), 5);
      else reject(error);
    });
  });
}

/** Where a module that `from` (a URL) names leads, by the runtime's own rules (import maps, `paths`), or undefined. */
export function resolveModule(specifier: string, from: string): string | undefined {
  const resolve = import.meta.resolve as (specifier: string, from?: string) => string;
  try {
    // Deno takes no second argument: its import map is the same for all modules.
    return deno ? resolve(specifier) : resolve(specifier, from);
  } catch {
    return undefined;
  }
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function withResolvers<T = void>(): PromiseWithResolvers<T> {
  let resolve!: PromiseWithResolvers<T>["resolve"], reject!: PromiseWithResolvers<T>["reject"];
  const promise = new Promise<T>((yes, no) => (resolve = yes, reject = no));
  return { promise, resolve, reject };
}

/** What was asked for does not exist on this runtime. */
export class UnsupportedRuntimeError extends Error {
  override readonly name = "UnsupportedRuntimeError";
}

/** @throws {UnsupportedRuntimeError} On Node, which has no Web Workers for isolates. */
export function requireIsolates(): void {
  if (runtimeName !== "node") return;
  throw new UnsupportedRuntimeError(
    "tasks run on Deno or Bun, not on Node: npm install deno (or bun), and celeriac finds it there",
  );
}

/** Whether an isolate can be kept from files, hosts and programs that its worker may reach: on Deno alone. */
export const confinesIsolates: boolean = deno !== undefined;

/**
 * Whether `terminate()` ends a Web Worker that computes without a pause. Deno 2.9 lets its thread go on for ever
 * (denoland/deno, pull request 35657); only a process can be ended there.
 */
export const endsBusyThreads: boolean = deno === undefined;

/**
 * Starts a Web Worker on one of our own files, or on what leads to them. `permissions`, as Deno spells them, confine it
 * where the runtime can do that.
 */
export function startWebWorker(url: URL, name: string, permissions?: "none" | "inherit" | object): Worker {
  requireIsolates();
  const confined = permissions === undefined ? {} : { deno: { permissions } };
  return new Worker(url, { type: "module", name, ...confined });
}

/** Where the program's own code lies, as far as an isolate loads it: files and folders. */
export function programSources(): string[] {
  const library = Object.values(libraryModules).map((path) => fileURLToPath(programFile(path)));
  return [fileURLToPath(new URL(".", programFolder)), ...library];
}

/**
 * Inside an isolate: the bytes of its heap, with the buffers that stand outside of it. On Bun as they were at its last
 * garbage collection, and without those buffers; no runtime tells what native code has taken for one isolate.
 */
export function isolateMemory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/**
 * Inside an isolate: calls `before` ahead of anything that ends this isolate from its own code, with what it called.
 * Deno ends a Web Worker on exit and on `close()` with no event for its owner, so the owner must be told first.
 */
export function beforeExit(before: (call: string) => void): void {
  const leave = process.exit.bind(process);
  process.exit = (code?: number | string | null): never => {
    before(`exit(${code ?? process.exitCode ?? 0})`);
    return leave(code);
  };
  if (deno) {
    const leaveDeno = deno.exit.bind(deno);
    deno.exit = (code?: number): never => {
      before(`exit(${code ?? 0})`);
      return leaveDeno(code);
    };
    const scope = globalThis as unknown as { close(): void };
    const close = scope.close.bind(scope);
    scope.close = () => {
      before("close()");
      close();
    };
  }
}
