/**
 * Counts the words of all texts in folders: chunks of texts are counted side by side, a chord puts it all together (map,
 * reduce). Without an argument it takes the licences and descriptions that Debian installs with its packages.
 *
 *     ./celeriac worker -A examples/wordcount_tasks.ts
 *     deno run -A examples/wordcount.ts [FOLDER ...]        (or: bun examples/wordcount.ts)
 */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { App, type AsyncResult, chord, chunks, type GroupResult } from "../mod.ts";
import type { WordCount } from "./wordcount_tasks.ts";

/** Texts a call, and calls a task. */
const TEXTS = 16, CALLS = 2;
/** `copyright`, `README`, `notes.txt`, `index.md`. */
const IS_TEXT = /^(copyright|[A-Z][A-Z.0-9-]*|.*\.(txt|md))$/;

const folders = process.argv.slice(2);
if (folders.length === 0) folders.push("/usr/share/common-licenses", "/usr/share/doc");
const paths = (await Promise.all(folders.map(textsIn))).flat();

const app = new App();
const { count, merge } = app.module<typeof import("./wordcount_tasks.ts")>("wordcount_tasks");
const calls = Array.from(
  { length: Math.ceil(paths.length / TEXTS) },
  (_, i) => paths.slice(i * TEXTS, (i + 1) * TEXTS),
);
const result = chord(chunks(count.s(), calls, CALLS), merge.s()).delay() as AsyncResult<WordCount>;

const parts = result.parent as GroupResult;
let done = 0;
for await (const _ of parts.finished()) draw(++done, parts.length);
const all = await result;

console.log(`${all.words} words in ${all.texts} texts`);
const often = Object.entries(all.counts).sort(([, one], [, other]) => other - one).slice(0, 5);
console.log(`most of all: ${often.map(([word, times]) => `${word} ${times}`).join(", ")}`);

// Where a text is plain ASCII everybody agrees what a word is.
const others = new Map(all.beyondAscii);
const plain = paths.filter((path) => !others.has(path));
const ours = [...others.values()].reduce((left, words) => left - words, all.words);
const theirs = await wc(plain);
console.log(`${ours} of them in ${plain.length} texts of plain ASCII; wc -w says ${theirs}`);
await app.disconnect();
if (ours !== theirs) process.exitCode = 1;

/** The texts in a folder and in the folders in it. */
async function textsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = await Promise.all(entries.map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return textsIn(path);
    return entry.isFile() && IS_TEXT.test(entry.name) ? [path] : [];
  }));
  return found.flat().sort();
}

/** A bar on a terminal; elsewhere a line now and then. */
function draw(done: number, total: number): void {
  const share = Math.floor(done * 40 / total);
  if (process.stdout.isTTY) {
    process.stdout.write(`\r[${"#".repeat(share)}${"-".repeat(40 - share)}] ${done} of ${total} tasks`);
    if (done === total) process.stdout.write("\n");
  } else if (share > Math.floor((done - 1) * 40 / total) && share % 10 === 0) {
    console.log(`${done} of ${total} tasks`);
  }
}

/** The words of texts as another program counts them. */
async function wc(paths: readonly string[]): Promise<number> {
  let words = 0;
  for (let at = 0; at < paths.length; at += 500) {
    // The sum is its last line; with one text it is the only one.
    const { stdout } = await promisify(execFile)("wc", ["-w", ...paths.slice(at, at + 500)]);
    words += parseInt(stdout.trimEnd().split("\n").at(-1)!);
  }
  return words;
}
