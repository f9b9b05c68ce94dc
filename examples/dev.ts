/**
 * What `make dev`, `deno task dev` and `bun run dev` start: a worker for the tasks in `tasks/`, on the embedded broker,
 * that takes up every change to them. Arguments are added to the worker's own.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run } from "../runtime/cli/program.ts";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
console.error(`
 Try it in another terminal:   ./celeriac call math.add 1 2
 Change it:                    edit tasks/math.ts, save, and call it again; Ctrl+C ends it`);
process.exit(
  await run([
    "worker",
    "-A",
    "tasks",
    "--reload",
    "-l",
    "debug",
    "--log-format",
    "text",
    ...process.argv.slice(2),
  ]),
);
