/**
 * One executable file, made by `deno compile`: the program, its packages, and task modules with all that they import.
 * Such an executable can't read TypeScript that it meets later, so what it loads from disk must be JavaScript.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isOneFile, libraryModules, programFile, runtimeVersion } from "../platform.ts";
import { firstModule, programEntries } from "./entries.ts";
import { BaseMissingError, BuildError, type ExecutableOptions } from "./executable.ts";
import { denoTargets } from "./target.ts";

/** @throws {BuildError} For modules that Deno can't compile. @throws {BaseMissingError} Without Deno's base program. */
export async function buildWithDeno(options: ExecutableOptions): Promise<void> {
  const { modules, outfile, target } = options;
  if (isOneFile) {
    throw new BaseMissingError(
      "an executable that Deno made can't make others: run celeriac by Deno or Bun for that",
    );
  }
  const platform = target && denoTargets[target];
  if (target !== undefined && platform === undefined) {
    throw new BaseMissingError(`Deno makes no executables for ${target}: run celeriac by Bun for that`);
  }
  const folder = await mkdtemp(join(tmpdir(), "celeriac-compile-"));
  try {
    const there = (file: string) => pathRelativeTo(folder, file);
    const embedded = modules.map((module) => ({ ...module, url: there(fileURLToPath(module.url)) }));
    const first = join(folder, "celeriac.js");
    await writeFile(first, firstModule(embedded, there(fileURLToPath(programFile("main")))));
    const imports = join(folder, "imports.json");
    await writeFile(imports, JSON.stringify({ imports: libraryImports() }));
    const includes = [...programEntries.map(programFile), ...modules.map(({ url }) => url)];
    const packages = packageFolders(dirname(fileURLToPath(includes[0])));
    await compile([
      ...["--allow-all", "--no-prompt", "--no-check", "--quiet", "--no-config", "--unstable-worker-options"],
      ...["--node-modules-dir=manual", `--import-map=${imports}`, `--output=${outfile}`],
      ...(platform === undefined ? [] : [`--target=${platform}`]),
      ...includes.map((url) => `--include=${fileURLToPath(url)}`),
      ...packages.map((folder) => `--include=${folder}`),
      ...packages.flatMap((folder) => TOOLS.map((name) => `--exclude=${join(folder, name)}`)),
      first,
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The folders of packages that are found from `start` and from the working folder. Deno takes them along as a whole, those
 * below the working folder even unasked.
 */
function packageFolders(start: string): string[] {
  const folders = [start, process.cwd()].flatMap(withParents).map((folder) => join(folder, "node_modules"));
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

function withParents(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...withParents(parent)];
}

/** What runs or compiles code, or only declares it, has hundreds of megabytes and no place in an executable. */
const TOOLS = [".bin", "deno", "@deno", "bun", "@oven", "bun-types", "@types", "typescript", "@typescript"];

/** A smaller young generation costs a busy worker no time and saves a third of its memory. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=8";

function libraryImports(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(libraryModules).map(([name, path]) => [name, programFile(path).href]),
  );
}

async function compile(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ["compile", V8_FLAGS, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  child.stderr!.setEncoding("utf8").on("data", (text) => output += text);
  const [code] = await once(child, "close");
  if (code === 0) return;
  const missing = /Could not find denort at '(.*)'/.exec(output)?.[1];
  if (missing !== undefined) {
    throw new BaseMissingError(`there is no file ${missing}, which DENORT_BIN names`);
  }
  if (/denort|base binary/.test(output)) {
    throw new BaseMissingError(
      `deno compile needs its base program denort ${runtimeVersion}, which can't be downloaded here: ` +
        `set DENORT_BIN to one, or run celeriac by Bun`,
    );
  }
  throw new BuildError(output.trim());
}

/** As an import is written: with slashes, beginning with a dot. */
function pathRelativeTo(folder: string, file: string): string {
  return `./${relative(folder, file).split(sep).join("/")}`;
}
