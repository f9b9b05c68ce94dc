/** Counts words in two steps: `count` looks at some texts, `merge` puts together what came of all (map, reduce). */
import { readFile } from "node:fs/promises";

/** What is known of some texts. */
export interface WordCount {
  readonly texts: number;
  /** Words: what stands between white space. */
  readonly words: number;
  /** How often each occurs: letters alone, in lower case. */
  readonly counts: Readonly<Record<string, number>>;
  /** Texts with more than printable ASCII in them, about which programs differ, each with its words. */
  readonly beyondAscii: readonly (readonly [path: string, words: number])[];
}

/** Counts the words of some texts. */
export async function count(...paths: string[]): Promise<WordCount> {
  return all(await Promise.all(paths.map(countOne)));
}

/** Puts together what chunks of calls have counted. */
export function merge(chunks: readonly (readonly WordCount[])[]): WordCount {
  return all(chunks.flat());
}

async function countOne(path: string): Promise<WordCount> {
  const text = await readFile(path, "utf8");
  const counts = new Map<string, number>();
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = text.match(/\S+/g)?.length ?? 0;
  return {
    texts: 1,
    words,
    counts: Object.fromEntries(counts),
    beyondAscii: /^[\t-\r -~]*$/.test(text) ? [] : [[path, words]],
  };
}

function all(parts: readonly WordCount[]): WordCount {
  const counts = new Map<string, number>();
  let texts = 0, words = 0;
  for (const part of parts) {
    texts += part.texts;
    words += part.words;
    for (const [word, times] of Object.entries(part.counts)) {
      counts.set(word, (counts.get(word) ?? 0) + times);
    }
  }
  const beyondAscii = parts.flatMap((part) => part.beyondAscii);
  return { texts, words, counts: Object.fromEntries(counts), beyondAscii };
}
