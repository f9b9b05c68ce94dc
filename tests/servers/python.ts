/** A Python with the newest Celery, in a virtual environment of the checkout's own, made when it is first asked for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const VENV = path("../../.venv");
const REQUIREMENTS = path("../celery/requirements.txt");

let made: Promise<string> | undefined;

/**
 * The path of a Python that has all of `tests/celery/requirements.txt`. Test processes that ask at once wait for one
 * another; a machine without `python3-venv` gets it by apt-get.
 */
export function python(): Promise<string> {
  return made ??= make();
}

async function make(): Promise<string> {
  const program = `${VENV}/bin/python`;
  const wanted = await readFile(REQUIREMENTS, "utf8");
  if (await readFile(`${VENV}/made`, "utf8").catch(() => "") === wanted) return program;
  if ((await run("python3", "-c", "import ensurepip, venv")).code !== 0) {
    const install = "apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 python3-venv";
    const command = `export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && ${install}`;
    const { code, output } = await run("sh", "-c", command);
    if (code !== 0) throw new Error(`install python3-venv; apt-get could not:\n${output}`);
  }
  const { code, output } = await run("python3", path("make_venv.py"), VENV, REQUIREMENTS);
  if (code !== 0) throw new Error(`the virtual environment ${VENV} could not be made:\n${output}`);
  return program;
}

async function run(program: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => output += text);
  child.stderr.setEncoding("utf8").on("data", (text) => output += text);
  try {
    const [code] = await once(child, "close");
    return { code, output };
  } catch (error) {
    return { code: null, output: String(error) };
  }
}
