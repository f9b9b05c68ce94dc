/** Text from bytes of others, as every **receive** reads it: changed by nothing, or not read at all. */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes, or undefined when they are not UTF-8. */
export function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Whether a text read by a lenient decoder may stand for bytes that are not UTF-8, or has that character itself. */
export function isDoubtful(text: string): boolean {
  return text.includes("\ufffd");
}
