/** What the exit code of a command says, and which error leads to which. The only table of them. */

import { TaskError } from "../protocol/errors.ts";

/** The exit codes of all commands. */
export const ExitCode = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  UNAVAILABLE: 69,
  INTERNAL: 70,
  NOT_YET: 75,
  REFUSED: 77,
} as const;

/** What `--help` and the documentation say of them. */
export const exitCodeTable: readonly (readonly [code: number, meaning: string])[] = [
  [ExitCode.OK, "all went well"],
  [
    ExitCode.FAILED,
    "the task failed; no worker answered, or one refused (status, control, inspect); nothing was dropped or cancelled (purge, dead, timers); " +
    "another took over (listen)",
  ],
  [ExitCode.USAGE, "a wrong flag, argument, setting or URL, or task modules that can't be used"],
  [
    ExitCode.UNAVAILABLE,
    "the broker or result store can't be reached, nor what a program is made of (compile)",
  ],
  [ExitCode.INTERNAL, "a fault in celeriac itself"],
  [ExitCode.NOT_YET, "there is no result or message yet, or no room for one, within --timeout"],
  [ExitCode.REFUSED, "the broker or result store refused for good (a wrong password)"],
  [130, "a worker ended at once: second SIGINT (143: SIGTERM, 131: SIGQUIT)"],
];

/** Ends a command with a code and one line on standard error. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** By the names of errors, so that a command which needs no broker loads none of the code that throws them. */
const codes: Readonly<Record<string, number>> = {
  TaskModuleError: ExitCode.USAGE,
  SettingsError: ExitCode.USAGE,
  BadUrlError: ExitCode.USAGE,
  UnserializableError: ExitCode.USAGE,
  UnsupportedRuntimeError: ExitCode.USAGE,
  RangeError: ExitCode.USAGE,
  ScheduleError: ExitCode.USAGE,
  BuildError: ExitCode.USAGE,
  BrokerUnavailableError: ExitCode.UNAVAILABLE,
  BaseMissingError: ExitCode.UNAVAILABLE,
  TimeoutError: ExitCode.NOT_YET,
  ChannelFullError: ExitCode.NOT_YET,
  ChannelTakenError: ExitCode.FAILED,
};

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.code;
  // Before the names: a task's error has the name of its own class, which may be any.
  if (error instanceof TaskError) return ExitCode.FAILED;
  if (!(error instanceof Error)) return ExitCode.INTERNAL;
  if ((error as { permanent?: unknown }).permanent === true) return ExitCode.REFUSED;
  return Object.hasOwn(codes, error.name) ? codes[error.name] : ExitCode.INTERNAL;
}

/** What standard error shows of it: one line where the user can act on it, the whole trace where only we can. */
export function errorText(error: unknown): string {
  if (error instanceof TaskError) return error.traceback?.trimEnd() || `${error.type}: ${error.message}`;
  if (!(error instanceof Error)) return `error: ${error}`;
  return exitCodeOf(error) === ExitCode.INTERNAL
    ? `error: ${error.stack ?? error}`
    : `error: ${error.message}`;
}
