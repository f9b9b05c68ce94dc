/**
 * Base64, in which kombu's envelopes carry bodies and kombu's JSON carries bytes. Bodies are ASCII nearly always
 * (Python escapes the rest), and then `btoa` and `atob` are the fastest way on Deno and Bun alike.
 */

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Base64 of bytes, or of a text's UTF-8. */
export function encodeBase64(data: string | Uint8Array): string {
  if (typeof data !== "string") return btoa(latin1Of(data));
  return NOT_ASCII.test(data) ? btoa(latin1Of(new TextEncoder().encode(data))) : btoa(data);
}

/** A function takes some ten thousand arguments at once, not millions. */
const CHUNK = 8192;

function latin1Of(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK) as unknown as number[]);
  }
  return text;
}

/**
 * The bytes, in memory of their own: a task may get them, and a `Buffer` would share its pool with others.
 * @throws {DOMException} When `text` is not base64.
 */
export function decodeBase64(text: string): Uint8Array {
  return bytesOf(atob(text));
}

/** The text whose UTF-8 is `text`'s base64. @throws {DOMException|TypeError} When it is not base64, or not UTF-8. */
export function decodeBase64Text(text: string): string {
  const latin1 = atob(text);
  return NOT_ASCII.test(latin1) ? utf8.decode(bytesOf(latin1)) : latin1;
}

function bytesOf(latin1: string): Uint8Array {
  const bytes = new Uint8Array(latin1.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = latin1.charCodeAt(i);
  return bytes;
}
