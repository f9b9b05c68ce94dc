/** Every difference between Deno, Bun and Node, in one place; the rest of the code asks here. */
import { write } from "node:fs";
import process from "node:process";

interface DenoGlobal {
  readonly version: { readonly deno: string };
  readonly stderr: { write(bytes: Uint8Array): Promise<number> };
  exit(code?: number): never;
}

const deno = (globalThis as { Deno?: DenoGlobal }).Deno;

/** The runtimes celeriac knows; on Node the client works, the worker does not. */
export type RuntimeName = "deno" | "bun" | "node";

/** The runtime this process runs on. */
export const runtimeName: RuntimeName = deno ? "deno" : process.versions.bun ? "bun" : "node";

/** Its version, as `2.9.6`. */
export const runtimeVersion: string = deno?.version.deno ?? process.versions.bun ?? process.versions.node;

/** Ends this process. */
export function exit(code: number): never {
  process.exit(code);
}

/** The arguments of the command line, without the runtime's own. */
export function commandLine(): string[] {
  return process.argv.slice(2);
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

/** Starts a Web Worker on one of our own files. */
export function startWebWorker(url: URL, name: string): Worker {
  return new Worker(url, { type: "module", name });
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
