import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeTime } from "../fake_clock.ts";
import { openSqliteResults } from "../../runtime/results/sqlite.ts";
import type { ResultStore } from "../../runtime/results/result_store.ts";
import { chordStoreSuite } from "./chord_stores.ts";
import { type ResultStoreHarness, resultStoreSuite } from "./result_stores.ts";

const harness: ResultStoreHarness = {
  open() {
    const folder = mkdtempSync(join(tmpdir(), "celeriac-"));
    const time = new FakeTime();
    const opened: ResultStore[] = [];
    return Promise.resolve({
      async connect() {
        // Connections are shared by clock: with one of its own each store is a process for itself.
        const results = openSqliteResults(`sqlite:${join(folder, "suite.db")}?synchronous=normal`, {
          clock: time.clock(),
        });
        await results.connect();
        opened.push(results);
        return results;
      },
      pass: (ms) => time.pass(ms),
      async close() {
        for (const results of opened) await results[Symbol.asyncDispose]();
        rmSync(folder, { recursive: true });
      },
    });
  },
};

resultStoreSuite("sqlite", harness);
chordStoreSuite("sqlite", harness);
