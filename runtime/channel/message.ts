/** A message as it stands in its line: one JSON text. Written by who sends it, read by who reads it. */
import { parsePythonJson, stringifyPythonJson } from "../protocol/python_json.ts";

/** Characters of one message. */
const LONGEST = 16 * 1024 * 1024;

/** Messages that may wait to be read, unless told otherwise. */
export const MAX_MESSAGES = 10_000;
/** Seconds for which messages are kept, unless told otherwise: a day, as results are. */
export const TTL = 86_400;

/** A message as it stands in its line. @throws {UnserializableError} @throws {RangeError} */
export function messageText(message: unknown): string {
  const text = stringifyPythonJson(message === undefined ? null : message);
  if (text.length <= LONGEST) return text;
  throw new RangeError(
    `a message of ${text.length} characters is too long, ${LONGEST} may be: store it elsewhere and send where it is`,
  );
}

/** A message as it was sent; what is no JSON, and so comes from elsewhere, as the text that it is. */
export function messageOf(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return text;
  }
}
