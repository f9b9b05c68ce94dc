/** How much memory, as people write it: `"256MB"`. Read where a task's options are, before **dispatch**. */

const UNITS: Readonly<Record<string, number>> = { "": 1, B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/** Less than this no task of any use can run in. */
const LEAST = 8 * 2 ** 20;

/** A memory limit that is none. */
export class MemorySizeError extends RangeError {
  /** `"MemorySizeError"`. */
  override readonly name = "MemorySizeError";
}

/**
 * Bytes of a size: a number of them, or a text with a unit (`"64MB"`, `"1.5 GiB"`), of which each is 1024 of the one
 * before, as runtimes count memory.
 *
 * @throws {MemorySizeError} For what is no size, and for less than 8 MB.
 */
export function memorySize(size: number | string): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(String(size)) ?? [];
  const factor = UNITS[(unit ?? "?").toUpperCase().replace(/^([KMG])(?:IB)?$/, "$1B")];
  const bytes = Math.round(Number(number) * factor);
  if (!(bytes >= LEAST)) {
    throw new MemorySizeError(
      `a memory limit of ${JSON.stringify(size)}: write it as "256MB" or "1GB", or as a number of bytes, ` +
        `8 MB at the least`,
    );
  }
  return bytes;
}

/** A size for people: `256 MB`. */
export function shownSize(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}
