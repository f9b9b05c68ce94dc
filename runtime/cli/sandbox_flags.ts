/** The flags of `celeriac worker` that say what tasks may reach. They stand for settings. */
import type { Command } from "commander";
import type { Settings } from "../config/settings.ts";

/** What these flags say. */
export interface SandboxFlags {
  readonly sandbox?: true;
  readonly allowUnsandboxed?: true;
}

/** Puts them on the command. */
export function addSandboxFlags(command: Command): Command {
  return command
    .option(
      "--sandbox",
      "tasks may reach what their permissions name, and nothing else (workerSandbox; on Deno)",
    )
    .option(
      "--allow-unsandboxed",
      "run tasks whose permissions can't be enforced, on Bun, without them (workerAllowUnsandboxed)",
    );
}

/** The settings with what the flags say. */
export function withSandbox(settings: Settings, flags: SandboxFlags): Settings {
  return {
    ...settings,
    workerSandbox: flags.sandbox ?? settings.workerSandbox,
    workerAllowUnsandboxed: flags.allowUnsandboxed ?? settings.workerAllowUnsandboxed,
  };
}
