/**
 * The executable: `deno run -A runtime/main.ts worker -A tasks`, or `bun runtime/main.ts ...`. It parses the command
 * line and calls `cli/`. A worker starts it by a mark of its own, to host an isolate in a process apart.
 */
import { ISOLATE_PROCESS } from "./isolate/process_messages.ts";
import { commandLine, exit } from "./platform.ts";

const args = commandLine();
if (args[0] === ISOLATE_PROCESS) {
  (await import("./isolate/process_host.ts")).hostIsolate();
} else {
  const { run } = await import("./cli/program.ts");
  exit(await run(args));
}
