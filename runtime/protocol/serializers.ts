/**
 * How bodies become bytes: JSON and MessagePack, as kombu writes them. Both only describe data. Pickle and YAML can run
 * code while they are read, so they are refused, always.
 */
import { BadMessageError, quoted, RefusedContentError } from "./bad_message.ts";
import { readMsgpack, writeMsgpack } from "./msgpack.ts";
import { parsePythonJson, stringifyPythonJson } from "./python_json.ts";

export { RefusedContentError } from "./bad_message.ts";

export interface Serializer {
  /** As in Celery's settings: `"json"`. */
  readonly name: string;
  readonly contentType: string;
  readonly contentEncoding: string;
  /** @throws {UnserializableError} For what no message can carry. */
  encode(value: unknown): string | Uint8Array;
  /** @throws {BadMessageError} When the body is not what its content type says. */
  decode(body: string | Uint8Array): unknown;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

const json: Serializer = {
  name: "json",
  contentType: "application/json",
  contentEncoding: "utf-8",
  encode: (value) => stringifyPythonJson(value),
  decode(body) {
    try {
      return parsePythonJson(typeof body === "string" ? body : utf8.decode(body));
    } catch (cause) {
      throw new BadMessageError("body is not JSON", { detail: (cause as Error).message, cause });
    }
  },
};

const msgpack: Serializer = {
  name: "msgpack",
  contentType: "application/x-msgpack",
  contentEncoding: "binary",
  encode: writeMsgpack,
  decode(body) {
    if (typeof body === "string") {
      throw new BadMessageError("body is not MessagePack", { detail: "it is text" });
    }
    try {
      return readMsgpack(body);
    } catch (cause) {
      throw new BadMessageError("body is not MessagePack", { detail: (cause as Error).message, cause });
    }
  },
};

const SERIALIZERS: readonly Serializer[] = [json, msgpack];

/** Names and content types of what is never read. */
const UNSAFE: readonly string[] = ["pickle", "application/x-python-serialize", "yaml", "application/x-yaml"];

/**
 * The serializer of that name in Celery's settings: `"json"` or `"msgpack"`.
 * @throws {RefusedContentError} For pickle and YAML, and for unknown names.
 */
export function serializerNamed(name: string): Serializer {
  for (const serializer of SERIALIZERS) if (serializer.name === name) return serializer;
  throw refused("serializer", name);
}

/**
 * The serializer of a message's content type. `accept` holds what may be read, by names or content types, as Celery's
 * `accept_content` does.
 * @default accept Everything there is: JSON and MessagePack.
 * @throws {RefusedContentError} For pickle, YAML, unknown content types, and what is not in `accept`.
 */
export function serializerFor(contentType: string, accept?: readonly string[]): Serializer {
  for (const serializer of SERIALIZERS) {
    if (serializer.contentType !== contentType) continue;
    if (accept === undefined || accept.includes(serializer.name) || accept.includes(contentType)) {
      return serializer;
    }
    throw new RefusedContentError("refused content type", {
      detail: `${contentType} is not accepted here: add "${serializer.name}" to acceptContent, or send ${
        accept.join(", ")
      }`,
    });
  }
  const bare = contentType.split(";", 1)[0].trim().toLowerCase();
  if (bare !== contentType) return serializerFor(bare, accept);
  throw refused("content type", contentType);
}

function refused(what: string, wanted: string): RefusedContentError {
  const problem = UNSAFE.includes(wanted)
    ? `${wanted} can run code while it is read and is never accepted`
    : `${quoted(wanted)} is not known`;
  return new RefusedContentError(`refused ${what}`, { detail: `${problem}: use json or msgpack` });
}
