/** A real browser for tests: Chromium without a window, with an empty profile of its own each time. */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";

const run = promisify(execFile);
const PROGRAM = "/usr/bin/chromium";

/** Starts Chromium; installs it first where it is missing and the system has `apt-get`. Close it when done. */
export async function startBrowser(): Promise<Browser> {
  await installed();
  return await chromium.launch({
    executablePath: PROGRAM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

async function installed(): Promise<void> {
  try {
    await access(PROGRAM);
  } catch {
    await run("apt-get", ["update", "-qq"]).catch(() => {});
    const options = ["-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"];
    await run("apt-get", ["install", ...options, "chromium"]);
  }
}
