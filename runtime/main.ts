/**
 * The executable: `deno run -A runtime/main.ts worker -A tasks`, or `bun runtime/main.ts ...`. It parses the command
 * line and calls `cli/`.
 */
import { run } from "./cli/program.ts";
import { commandLine, exit } from "./platform.ts";

exit(await run(commandLine()));
