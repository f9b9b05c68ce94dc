/**
 * One executable file, made by Bun: the program, the runtime, and task modules with all that they import. Works from a
 * checkout, from the package, and in an executable made here before, whose own parts are what it reads then.
 */
import {
  access,
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ModuleFile } from "../isolate/load_modules.ts";
import { type Bundler, insideBun, libraryModules, programFile } from "../platform.ts";
import { withClassNames } from "./class_names.ts";
import { firstModule, programEntries } from "./entries.ts";
import { BaseMissingError, BuildError, type ExecutableOptions } from "./executable.ts";
import { type Placing, withPlacedFiles } from "./placed_files.ts";
import type { Target } from "./target.ts";
import { bundleThreads } from "./threads.ts";

/** Where the sources lie of what goes into an executable. */
interface Sources {
  /** The program's own, by a path as `programFile` takes it. */
  program(path: string): string;
  /** A task module, by its URL. */
  task(url: string): string;
  /** What has come out of an executable, by the path that it has inside. */
  unpacked(path: string): string;
}

/** How parts of an executable name one another; on Windows it is the other one. */
const INSIDE = /^(?:\/\$bunfs|[A-Z]:[\\/]~BUN)[\\/]root[\\/]/;

const NAMED_INSIDE = /"(?:\/\$bunfs|[A-Z]:[\\/]~BUN)[\\/]root[\\/]([^"\n]+)"/g;

/**
 * @throws {BuildError} For modules that can't be bundled.
 * @throws {BaseMissingError} When the runtime for the target can't be had.
 */
export async function buildWithBun(bundler: Bundler, options: ExecutableOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "celeriac-compile-"));
  try {
    const sources = insideBun === undefined ? installed : await unpack(insideBun, join(folder, "program"));
    const root = join(folder, "layout");
    const entries = await writeAll(root, layout(options.modules, sources));
    const file = join(folder, "executable");
    const tasks = options.modules.map(({ url }) => sources.task(url));
    // Not in the same go: the bundler waits for ever for one that it is asked for meanwhile.
    const threads = await bundleThreads(bundler, tasks, join(folder, "threads"), partsOf(sources));
    await bundle(bundler, entries, root, partsOf(sources, threads), file, options.target);
    await putInPlace(file, options.outfile);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const installed: Sources = {
  program: (path) => fileURLToPath(programFile(path)),
  task: fileURLToPath,
  unpacked: (path) => path,
};

/** Writes the parts of this executable to a folder, since the bundler reads none from inside of it. */
async function unpack(url: string, folder: string): Promise<Sources> {
  const inside = fileURLToPath(url);
  const copy = async (path: string) => {
    const part = await readFile(join(inside, path)).catch(() => undefined);
    // A folder, or a text that only looks like a path.
    if (part === undefined) return "";
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), part);
    return path.endsWith(".js") ? part.toString() : "";
  };
  for (const path of await readdir(inside, { recursive: true })) {
    // Files that are no code are known by their paths alone.
    for (const [, named] of (await copy(path)).matchAll(NAMED_INSIDE)) await copy(named);
  }
  const unpacked = (path: string) => path.replace(INSIDE, `${folder}/`);
  return {
    program: (path) => join(folder, "runtime", `${path}.js`),
    task: (module) => unpacked(fileURLToPath(module)),
    unpacked,
  };
}

/**
 * The entries by their places in the executable, each a short text that leads to the real source: so the layout inside
 * does not hang on where program and task modules lie on this machine.
 */
function layout(modules: readonly ModuleFile[], sources: Sources): Map<string, string> {
  const entries = new Map<string, string>();
  const embedded = modules.map((module, i) => ({ ...module, url: `./tasks/${i}.js` }));
  entries.set("celeriac.js", firstModule(embedded, "./runtime/main.js"));
  for (const path of programEntries) {
    const file = JSON.stringify(sources.program(path));
    entries.set(join("runtime", `${path}.js`), `import ${file};\nexport * from ${file};\n`);
  }
  for (const [i, module] of modules.entries()) {
    const file = JSON.stringify(sources.task(module.url));
    const wholeDefault = `import * as all from ${file};\nexport default all["default"];\n`;
    entries.set(embedded[i].url, `export * from ${file};\n${wholeDefault}`);
  }
  return entries;
}

async function writeAll(folder: string, files: ReadonlyMap<string, string>): Promise<string[]> {
  for (const [path, text] of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return [...files.keys()].map((path) => join(folder, path));
}

async function bundle(
  bundler: Bundler,
  entrypoints: readonly string[],
  root: string,
  plugin: BunPlugin,
  outfile: string,
  target: Target | undefined,
): Promise<void> {
  const { success, logs } = await bundler.build({
    entrypoints,
    root,
    target: "bun",
    format: "esm",
    // Shared by the command line and its isolates, and read only when needed.
    splitting: true,
    bytecode: true,
    minify: { whitespace: true, syntax: true, identifiers: false },
    sourcemap: "linked",
    // What runs inside is what runs from the sources, also where a package wrongly says it has no side effects.
    ignoreDCEAnnotations: true,
    throw: false,
    plugins: [plugin],
    compile: {
      outfile,
      ...(target === undefined ? {} : { target: `bun-${target}` }),
      // Task modules on disk find their own packages, and what their tsconfig.json says of paths.
      autoloadPackageJson: true,
      autoloadTsconfig: true,
      // Files that happen to lie in the working folder change nothing of a service.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  if (success) return;
  const errors = logs.filter(({ level }) => level === "error").map(String).join("\n");
  // Its own words for a download that failed, for an answer that is no package, and for a target that npm lacks.
  if (/download|extract/i.test(errors) && target !== undefined) {
    const why = errors.replace(/^BuildMessage: /, "").replace(/\.$/, "");
    throw new BaseMissingError(
      `Bun for ${target} can't be had from npm (${why}): try again, or set BUN_COMPILE_TARGET_TARBALL_URL to ` +
        `where a copy of its package @oven/bun-${target.replace("arm64", "aarch64")} is`,
    );
  }
  throw new BuildError(`no executable could be made:\n${errors}`);
}

/** In one step, so that a copy which runs at the moment is left alone. Bun adds `.exe` to what runs on Windows. */
async function putInPlace(built: string, outfile: string): Promise<void> {
  const file = await access(built).then(() => built, () => `${built}.exe`);
  const beside = `${outfile}.${process.pid}.new`;
  try {
    // A folder for temporary files is often on a disk of its own.
    await rename(file, beside).catch(() => copyFile(file, beside));
    await chmod(beside, 0o755);
    await rename(beside, outfile);
  } catch (cause) {
    await rm(beside, { force: true });
    throw new BuildError(`${outfile} can't be written: ${(cause as Error).message}`, { cause });
  }
}

interface BunPlugin {
  readonly name: string;
  setup(build: PluginBuild): void;
}

interface PluginBuild {
  onResolve(
    options: { readonly filter: RegExp },
    resolve: (wanted: { readonly path: string }) => { path: string } | undefined,
  ): void;
  onLoad(
    options: { readonly filter: RegExp },
    load: (wanted: { readonly path: string }) => Promise<{ contents: string; loader: string } | undefined>,
  ): void;
}

/** What the bundler does otherwise than by itself, for the executable and for each thread in it. */
function partsOf(sources: Sources, threads: ReadonlyMap<string, string> = new Map()): BunPlugin {
  const placing = { threads, unpacked: sources.unpacked };
  return {
    name: "celeriac",
    setup(build) {
      resolveOwn(build, sources);
      prepareSources(build, placing);
    },
  };
}

/** One copy of the library serves program and task modules; none has to be installed beside these. */
function resolveOwn(build: PluginBuild, sources: Sources): void {
  build.onResolve({ filter: /^celeriac(\/|$)/ }, ({ path }) => {
    return Object.hasOwn(libraryModules, path) ? { path: sources.program(libraryModules[path]) } : undefined;
  });
  build.onResolve({ filter: INSIDE }, ({ path }) => ({ path: sources.unpacked(path) }));
}

function prepareSources(build: PluginBuild, placing: Placing): void {
  build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
    const source = await readFile(path, "utf8");
    const placed = withPlacedFiles(source, path, placing);
    const contents = withClassNames(placed ?? source) ?? placed;
    // `.js` may hold JSX, as it may without us.
    const loader = extname(path).replace(/^\.[cm]?/, "").replace(/^js$/, "jsx");
    return contents === undefined ? undefined : { contents, loader };
  });
}
