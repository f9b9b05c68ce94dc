/** The package as its users get it: packed by npm from a copy of this checkout, installed by npm into a folder. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

/** Neither of the sources nor of their making. */
const leftOut = new Set(["node_modules", "dist", "lib", "tests", ".git", ".venv"]);

/** Runs npm; its cache spares most downloads. */
export async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await run("npm", [...args, "--prefer-offline", "--loglevel=error"], { cwd });
  return stdout;
}

/** Packs a copy of this checkout, so that nobody who works in it is in the way, and returns the tarball's path. */
async function pack(folder: string): Promise<string> {
  const copy = join(folder, "checkout");
  await cp(root, copy, {
    recursive: true,
    filter: (path) => !leftOut.has(relative(root, path).split(sep)[0]),
  });
  await symlink(join(root, "node_modules"), join(copy, "node_modules"), "dir");
  const [{ filename }] = JSON.parse(
    await npm(copy, "pack", "--json", "--silent", "--pack-destination", ".."),
  );
  await rm(copy, { recursive: true });
  return join(folder, filename);
}

/** A project of somebody who has installed the package. */
export class Project implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, "project");
  }

  /** Packs, and installs into a new folder with these files in it. */
  static async with(files: Readonly<Record<string, string>>): Promise<Project> {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-package-"));
    const project = new Project(folder);
    const tarball = await pack(folder);
    await cp(new URL("client.mjs", import.meta.url), join(project.path, "client.mjs"));
    await project.write({
      "package.json": '{ "name": "shop", "type": "module", "private": true }',
      ...files,
    });
    await npm(project.path, "install", tarball);
    return project;
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.path, name), text);
  }

  /** Makes packages of this checkout's `node_modules` installed here, too. */
  async link(...names: string[]): Promise<void> {
    for (const name of names) {
      const place = join(this.path, "node_modules", name);
      await mkdir(dirname(place), { recursive: true });
      await symlink(join(root, "node_modules", name), place, "dir");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The program of a Node of that major version: the installed one, or else one from npm, put into `folder`. */
export async function node(major: number, folder: string): Promise<string> {
  const { stdout } = await run("node", ["-p", "process.version + ' ' + process.execPath"]);
  const [version, program] = stdout.trim().split(" ");
  if (version.startsWith(`v${major}.`)) return program;
  const name = `node-${process.platform}-${process.arch}`;
  const prefix = join(folder, `node-${major}`);
  await npm(folder, "install", "--prefix", prefix, `${name}@${major}`);
  return join(prefix, "node_modules", name, "bin/node");
}
