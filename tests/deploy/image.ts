/**
 * Reads a Dockerfile that runs nothing while it is built, and lays its files out in a folder as the image has them.
 * What it takes from an image of Debian is taken from this machine, which has the same files in the same places.
 */
import { chmod, copyFile, mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { glob } from "tinyglobby";

/** An image, as its Dockerfile says it. */
export interface Image {
  readonly user: string;
  readonly workdir: string;
  readonly stopSignal: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** What the health check runs. */
  readonly health: readonly string[];
}

/** Lays out in `root` what `dockerfile` copies, `context` being the folder in which the image is built. */
export async function layOut(dockerfile: string, context: string, root: string): Promise<Image> {
  const said = new Map<string, string>();
  for (const [name, rest] of instructions(await readFile(dockerfile, "utf8"))) {
    if (name === "COPY") await copy(rest, context, root);
    else if (said.has(name)) throw new Error(`${name} stands there twice`);
    else said.set(name, rest);
  }
  const { FROM, USER, WORKDIR, STOPSIGNAL, ENTRYPOINT, CMD, HEALTHCHECK, ...others } = Object.fromEntries(
    said,
  );
  if (FROM !== "scratch") throw new Error(`it begins with ${FROM}`);
  if (Object.keys(others).length > 0) throw new Error(`what to do with ${Object.keys(others)}?`);
  await mkdir(join(root, WORKDIR), { recursive: true });
  return {
    user: USER,
    workdir: WORKDIR,
    stopSignal: STOPSIGNAL,
    entrypoint: JSON.parse(ENTRYPOINT),
    command: JSON.parse(CMD),
    health: JSON.parse(HEALTHCHECK.slice(HEALTHCHECK.indexOf("["))),
  };
}

function instructions(text: string): [name: string, rest: string][] {
  const lines = text.replace(/^#.*\n/gm, "").replace(/\\\n/g, " ").split("\n");
  return lines.filter((line) => line.trim() !== "").map((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line)!;
    return [name, rest.trim()];
  });
}

async function copy(rest: string, context: string, root: string): Promise<void> {
  const words = rest.split(/\s+/);
  const flags = words.filter((word) => word.startsWith("--"));
  const paths = words.filter((word) => !word.startsWith("--"));
  const target = paths.pop()!;
  const mode = flags.find((flag) => flag.startsWith("--chmod="))?.slice("--chmod=".length);
  const from = flags.some((flag) => flag.startsWith("--from=debian:")) ? "/" : context;
  for (const path of paths) {
    const files = await glob(path.replace(/^\//, ""), { cwd: from, absolute: true });
    if (files.length === 0) throw new Error(`COPY ${path}: there is no such file in ${from}`);
    for (const file of files) {
      const place = join(root, target, target.endsWith("/") ? basename(file) : "");
      await mkdir(join(place, ".."), { recursive: true });
      await copyFile(file, place);
      if (mode !== undefined) await chmod(place, parseInt(mode, 8));
    }
  }
}
