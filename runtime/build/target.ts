/** The machines that an executable can be made for. Before the way of a task. */
import { nearest } from "../config/suggest.ts";

/** The targets of `celeriac compile --target`. A plain `linux` is for glibc, as most distributions have; Alpine has musl. */
export const targets = [
  "linux-x64",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;
/** One of {@linkcode targets}. */
export type Target = typeof targets[number];

/** How Deno calls the targets it can make executables for. */
export const denoTargets: Readonly<Partial<Record<Target, string>>> = {
  "linux-x64": "x86_64-unknown-linux-gnu",
  "linux-arm64": "aarch64-unknown-linux-gnu",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
  "windows-x64": "x86_64-pc-windows-msvc",
};

/**
 * The target that somebody meant: ours, or as Bun and Deno write it.
 *
 * @throws {RangeError} For what is none; says which is near.
 */
export function targetOf(written: string): Target {
  const name = written.toLowerCase().replace(/^bun-/, "").replace("aarch64", "arm64").replace(/-glibc$/, "");
  const found = targets.find((target) => target === name || denoTargets[target] === written.toLowerCase());
  if (found !== undefined) return found;
  const meant = nearest(name, targets);
  throw new RangeError(
    `there is no target ${written}${meant === undefined ? "" : `; did you mean ${meant}?`} ` +
      `(there are ${targets.join(", ")})`,
  );
}
