/** One executable file of the program, its runtime, and task modules: what is asked for, and what can go wrong. */
import type { ModuleFile } from "../isolate/load_modules.ts";
import { bundler } from "../platform.ts";
import type { Target } from "./target.ts";

/** What is to be made. */
export interface ExecutableOptions {
  /** Put inside, under their names; the executable also loads others from disk. */
  readonly modules: readonly ModuleFile[];
  /** Absolute path. */
  readonly outfile: string;
  /** Default: this machine. */
  readonly target?: Target;
}

/** Modules that can't be put into an executable. */
export class BuildError extends Error {
  /** `"BuildError"`. */
  override readonly name = "BuildError";
}

/** What the executable is to run on, for its system and processor, can't be had. */
export class BaseMissingError extends Error {
  /** `"BaseMissingError"`. */
  override readonly name = "BaseMissingError";
}

/**
 * Makes an executable by the means of the runtime that this runs on.
 *
 * @throws {BuildError} For modules that can't be put inside.
 * @throws {BaseMissingError} When the runtime for the target can't be had.
 */
export async function buildExecutable(options: ExecutableOptions): Promise<void> {
  if (bundler !== undefined) {
    await (await import("./bun_executable.ts")).buildWithBun(bundler, options);
  } else {
    await (await import("./deno_executable.ts")).buildWithDeno(options);
  }
}
