/**
 * What the parts of a chord have given, as its body gets it: between **settle** of the last part and **publish** of the body.
 */
import { isRecord } from "../protocol/envelope.ts";
import { ChordError } from "../protocol/errors.ts";
import { parsePythonJson } from "../protocol/python_json.ts";
import { reprOfArgs } from "../protocol/python_repr.ts";

/**
 * The results of a chord's parts.
 *
 * @param texts Their texts `[1, id, state, result]`, in the order of the results.
 * @param group The header's shape as Celery saves it, where it is no flat list.
 * @throws {ChordError} When a part has failed, with the message that Celery gives; or when the texts can't be read.
 */
export function chordResults(texts: readonly string[], group: string | null): unknown[] {
  const values: unknown[] = [];
  const results = new Map<string, unknown>();
  let parts: unknown;
  try {
    parts = parsePythonJson(`[${texts.join(",")}]`);
  } catch (cause) {
    throw unreadable(cause);
  }
  for (const part of parts as unknown[]) {
    if (!Array.isArray(part) || part.length !== 4) {
      throw unreadable(new TypeError("a part is no list of four"));
    }
    const [, id, state, result] = part;
    if (state === "FAILURE" || state === "REVOKED") {
      throw new ChordError(`Dependency ${id} raised ${reprOfError(result)}`);
    }
    values.push(result);
    results.set(id, result);
  }
  return group === null ? values : shaped(group, results);
}

function shaped(group: string, results: ReadonlyMap<string, unknown>): unknown[] {
  const valueOf = (tuple: unknown): unknown => {
    const [[id], children] = tuple as [[string, unknown], unknown[] | null];
    if (children !== null) return children.map(valueOf);
    if (!results.has(id)) throw new TypeError(`there is no result of ${id}`);
    return results.get(id);
  };
  try {
    const { result } = parsePythonJson(group) as { result: unknown };
    return valueOf(result) as unknown[];
  } catch (cause) {
    throw unreadable(cause);
  }
}

/** `ValueError('bad')`, as Python shows an error. */
function reprOfError(error: unknown): string {
  const { exc_type: type = "Exception", exc_message: message } = isRecord(error)
    ? error
    : { exc_message: error };
  const args = Array.isArray(message) ? message : [message];
  return `${type}${reprOfArgs(args).replace(/,\)$/, ")")}`;
}

function unreadable(cause: unknown): ChordError {
  return new ChordError(`Join error: ${String(cause)}`, { cause });
}
