/** What somebody wrote on the command line as a value for a task. */
import { parsePythonJson } from "../protocol/python_json.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";

/** JSON where it is JSON (NaN and integers of any size included), else the text itself. */
export function argumentValue(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return text;
  }
}

/** A JSON list. @throws {CommandError} When it is something else. */
export function listValue(text: string, flag: string): unknown[] {
  const value = jsonValue(text, flag, '["a", 1]');
  if (!Array.isArray(value)) {
    throw new CommandError(`${flag} is not a list: write ${flag} '["a", 1]'`, ExitCode.USAGE);
  }
  return value;
}

/** A JSON object. @throws {CommandError} When it is something else. */
export function objectValue(text: string, flag: string): Record<string, unknown> {
  const value = jsonValue(text, flag, '{"x": 1}');
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CommandError(`${flag} is not an object: write ${flag} '{"x": 1}'`, ExitCode.USAGE);
  }
  return value as Record<string, unknown>;
}

function jsonValue(text: string, flag: string, example: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    throw new CommandError(`${flag} is not JSON: write ${flag} '${example}'`, ExitCode.USAGE);
  }
}
