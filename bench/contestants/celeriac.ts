/** celeriac, as its users start it: the command line of this checkout on Deno and on Bun, and the built executable. */
import { existsSync } from "node:fs";
import { Client } from "../client.ts";
import { Program, ROOT } from "../process.ts";
import type { RedisContestant, WorkerOptions } from "./contestant.ts";

/** How a program in TypeScript is run. */
export const runtimes = {
  deno: [`${ROOT}node_modules/deno/deno`, "run", "-A", "--no-check", `--config=${ROOT}deno.json`],
  bun: [`${ROOT}node_modules/bun/bin/bun.exe`],
} as const;

export type Runtime = keyof typeof runtimes;

/** The built executable, where there is one. */
export const EXECUTABLE = `${ROOT}dist/celeriac`;

/** Starts `celeriac worker` on any broker. It logs warnings only, as Celery's worker does by default. */
export function startCeleriac(
  command: Runtime | "executable",
  url: string,
  { concurrency = 2, slots = 1, queues = ["celery"], hostname }: WorkerOptions = {},
): Program {
  return new Program(
    [
      command === "executable" ? EXECUTABLE : `${ROOT}celeriac`,
      ...["worker", "-A", `${ROOT}bench/tasks.ts`, "-b", url, "-Q", queues.join(",")],
      ...["-c", String(concurrency), "--slots", String(slots), "-l", "warning"],
      ...(hostname === undefined ? [] : ["-n", hostname]),
    ],
    command === "executable" ? {} : { CELERIAC_RUNTIME: command },
  );
}

/** How tables name the runtimes. */
export const runtimeNames = { deno: "Deno", bun: "Bun" } as const;

/** celeriac on a runtime. */
export function celeriac(runtime: Runtime, db: number): RedisContestant {
  return {
    name: `celeriac, ${runtimeNames[runtime]}`,
    db,
    startWorker: (redis, options) => startCeleriac(runtime, redis.url(db), options),
    startClient: (redis) => startCeleriacClient(runtime, redis.url(db)),
    settled: (redis) => redis.results(db),
  };
}

/** celeriac's client on any broker. */
export function startCeleriacClient(runtime: Runtime, url: string): Client {
  return new Client(new Program([...runtimes[runtime], `${ROOT}bench/celeriac/client.ts`, url]));
}

/** Whether `make build` has been run. */
export function isBuilt(): boolean {
  return existsSync(EXECUTABLE);
}
