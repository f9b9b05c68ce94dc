// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
import { FakeTime } from "../fake_clock.ts";
import { openMemoryResults } from "../../runtime/results/memory.ts";
import type { ResultStore } from "../../runtime/results/result_store.ts";
import { chordStoreSuite } from "./chord_stores.ts";
import { type ResultStoreHarness, resultStoreSuite } from "./result_stores.ts";

let stores = 0;

const harness: ResultStoreHarness = {
  async open() {
    const url = `memory:store${++stores}`;
    const time = new FakeTime();
    const opened: ResultStore[] = [];
    return {
      async connect() {
        const results = openMemoryResults(url, { clock: time.clock() });
        await results.connect();
        opened.push(results);
        return results;
      },
      pass: (ms) => time.pass(ms),
      async close() {
        for (const results of opened) await results[Symbol.asyncDispose]();
      },
    };
  },
};

resultStoreSuite("memory", harness);
chordStoreSuite("memory", harness);
