/**
 * What the modules of a confined isolate are made of: before **run**, and before anything of them is loaded. What a module
 * names literally is loaded with it, whatever its permissions say. So the names are read first, from the text: they must
 * lead to code, within the project, and what they lead to is all that the isolate can load.
 */
import { readFile, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { init, parse } from "es-module-lexer";
import { programSources, resolveModule } from "../platform.ts";
import { importsOf, isCode } from "./imports.ts";
import { type ModuleFile, TaskModuleError } from "./load_modules.ts";
import type { Confinement } from "./permissions.ts";

/** A name in a module's text. */
interface Name {
  readonly specifier: string;
  /** What it is imported as, where that is said: `"json"`, `"text"`; `"?"` where it can't be told. */
  readonly type: string | undefined;
  /** Position in the text. */
  readonly at: number;
}

/** A file of the graph, the project that it belongs to, and where it is named. */
interface Part {
  readonly file: string;
  readonly project: string;
}

/** The files of a project at the end of which the way upwards stops. */
const MANIFESTS = ["deno.json", "deno.jsonc", "package.json"];

/**
 * What confines an isolate that loads `modules` under `permissions`.
 *
 * @throws {TaskModuleError} For modules that can't be loaded so; see {@linkcode sourcesOf}.
 */
export async function confinementOf(
  permissions: Confinement["permissions"],
  modules: readonly ModuleFile[],
): Promise<Confinement> {
  return { permissions, sources: await sourcesOf(modules, permissions) };
}

/**
 * All files that `modules` are made of, outside of packages, for an isolate with `permissions`; beside them the program's
 * own.
 *
 * @throws {TaskModuleError} For a name that would read a file as data, leads out of the project, or leads to another host
 * without permission; with its file and line.
 */
export async function sourcesOf(
  modules: readonly ModuleFile[],
  permissions: Confinement["permissions"],
): Promise<readonly string[]> {
  await init();
  const files = new Set(programSources());
  let parts: Part[] = await Promise.all(
    modules.filter(({ url }) => url.startsWith("file:")).map(async ({ url }) => {
      const file = fileURLToPath(url);
      return { file, project: await projectOf(file) };
    }),
  );
  while (parts.length > 0) {
    const fresh = parts.filter(({ file }, i) =>
      !files.has(file) && parts.findIndex((other) => other.file === file) === i
    );
    for (const { file } of fresh) files.add(file);
    parts = (await Promise.all(fresh.map((part) => partsNamedIn(part, files, permissions)))).flat();
  }
  return [...files].sort();
}

/** What a file names, checked. Where it is a link, what it leads to is added to `files`. */
async function partsNamedIn(
  part: Part,
  files: Set<string>,
  permissions: Confinement["permissions"],
): Promise<Part[]> {
  const { file, project } = part;
  const real = await realpath(file).catch(() => file);
  files.add(real);
  const source = isCode(file) ? await readFile(file, "utf8").catch(() => undefined) : undefined;
  if (source === undefined) return [];
  const named: Part[] = [];
  for (const name of namesIn(source, file)) {
    const target = resolved(name.specifier, file);
    if (target === undefined) continue;
    const refuse = (why: string) => {
      const line = source.slice(0, name.at).split("\n").length;
      throw new TaskModuleError(`${shown(file)}:${line} imports ${name.specifier}, ${why}`);
    };
    if (name.type !== undefined && name.type !== "json") {
      refuse(
        `${
          name.type === "?" ? "in a way that can't be told before it runs" : `as ${name.type}`
        }: that would read ` +
          `the file whatever the permissions say. Read it when the task runs, and permit that: ` +
          `permissions: { read: [...] }`,
      );
    }
    if (/^https?:$/.test(target.protocol) || target.protocol === "jsr:") {
      if (permissions !== "none" && permissions.import !== undefined) continue;
      refuse(
        `from another host, which its tasks may not: permit it (permissions: { import: [...] }), ` +
          `or install it as a package`,
      );
    }
    if (target.protocol !== "file:") continue;
    const path = fileURLToPath(target);
    if (isOfPackage(path) || isOfProgram(path)) continue;
    const where = await realpath(path).catch(() => path);
    if (!isBelow(project, path) || !isBelow(await realpath(project), where)) {
      refuse(
        `which lies outside of its project ${
          shown(project)
        }: a task with permissions of its own can't be made ` +
          `of it. Move it into the project, or into a package`,
      );
    }
    named.push({ file: path, project });
  }
  return named;
}

function namesIn(source: string, file: string): Name[] {
  try {
    return parse(source, file)[0].flatMap((found) => {
      if (found.type === "import-meta" || found.specifier === undefined) return [];
      if (found.type === "dynamic" ? found.glob || found.probablyTypeOnly : found.typeOnly) return [];
      const type = found.type === "dynamic"
        ? typeIn(found.attributesStart < 0 ? "" : source.slice(found.attributesStart, found.importEnd))
        : found.attributes?.find(([key]) => key === "type")?.[1];
      return { specifier: found.specifier, type, at: found.start };
    });
  } catch {
    // What the lexer can't read, JSX for example, or nobody can: then loading it says what is wrong.
    return importsOf(source).map((specifier) => {
      const at = Math.max(0, source.indexOf(specifier));
      const rest = source.slice(at + specifier.length, source.indexOf("\n", at));
      return { specifier, type: typeIn(/\bwith\b.*/.exec(rest)?.[0] ?? ""), at };
    });
  }
}

/** The type in the attributes of an import. */
function typeIn(attributes: string): string | undefined {
  if (attributes === "") return undefined;
  return /\btype["']?\s*:\s*["'](\w+)["']/.exec(attributes)?.[1] ?? "?";
}

/** Where a name in a file leads, or undefined where it leads nowhere: then loading it says what is wrong. */
function resolved(specifier: string, from: string): URL | undefined {
  const base = pathToFileURL(from).href;
  try {
    if (/^(\.{0,2}\/|[a-z][a-z+.-]*:)/i.test(specifier)) return new URL(specifier, base);
    const url = resolveModule(specifier, base);
    return url === undefined ? undefined : new URL(url);
  } catch {
    return undefined;
  }
}

/**
 * The project of a task module: the folder of the nearest manifest above it, or of the workspace that this is part of. A
 * module without one belongs to the working folder, or to its own if that is elsewhere.
 */
async function projectOf(file: string): Promise<string> {
  let project: string | undefined;
  for (let folder = dirname(file), above = dirname(folder);; [folder, above] = [above, dirname(above)]) {
    const manifests = await Promise.all(
      MANIFESTS.map((name) => readFile(join(folder, name), "utf8").catch(() => undefined)),
    );
    const isWorkspace = manifests.some((text) => text !== undefined && /"workspaces?"\s*:/.test(text));
    if (isWorkspace || project === undefined && manifests.some((text) => text !== undefined)) {
      project = folder;
    }
    if (folder === above) break;
  }
  const cwd = process.cwd();
  return project ?? (dirname(cwd) !== cwd && isBelow(cwd, file) ? cwd : dirname(file));
}

/** Deno lets a package be imported, and confines what it imports itself. */
function isOfPackage(file: string): boolean {
  return file.includes("/node_modules/");
}

function isOfProgram(file: string): boolean {
  return programSources().some((own) => file === own || isBelow(own, file));
}

function isBelow(folder: string, file: string): boolean {
  const path = relative(folder, file);
  return path !== "" && !path.startsWith("..") && !isAbsolute(path);
}

/** As in a message: from the working folder, where that is above it. */
function shown(file: string): string {
  return isBelow(process.cwd(), file) ? relative(process.cwd(), file) : file;
}
