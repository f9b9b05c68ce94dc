import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeTime } from "../fake_clock.ts";
import { openSqliteResults } from "../../runtime/results/sqlite.ts";
import { openSqliteTransport } from "../../runtime/transport/sqlite.ts";
import { transportSuite } from "./transports.ts";

transportSuite("sqlite", {
  storesResults: true,
  open() {
    const folder = mkdtempSync(join(tmpdir(), "celeriac-"));
    const path = join(folder, "suite.db");
    const url = `sqlite:${path}?synchronous=normal`;
    const time = new FakeTime();
    const opened: AsyncDisposable[] = [];
    return Promise.resolve({
      lease: 15,
      async connect(options) {
        // Connections are shared by clock: with one of its own each peer is a process for itself.
        const clock = time.clock();
        const limits = {
          lease: 15,
          visibilityTimeout: 3600,
          maxDeliveries: 5,
          maxMessageBytes: 16 * 2 ** 20,
        };
        const transport = openSqliteTransport(url, { clock, random: Math.random, ...limits, ...options });
        const results = openSqliteResults(url, { clock });
        await transport.connect();
        await results.connect();
        opened.push(transport, results);
        return {
          transport,
          results,
          pause: () => time.pause(clock),
          resume: () => time.resume(clock),
          crash: () => Promise.resolve(time.pause(clock)),
          close: async () => {
            await transport[Symbol.asyncDispose]();
            await results[Symbol.asyncDispose]();
          },
        };
      },
      now: () => time.now(),
      pass: (ms) => time.pass(ms),
      put(queue, item) {
        const db = new DatabaseSync(path);
        db.exec("begin immediate");
        db.prepare("insert into message(body) values(cast(? as text))").run(item);
        db.prepare("insert into ready values(?, 0, last_insert_rowid())").run(queue);
        db.exec("commit");
        db.close();
        return Promise.resolve();
      },
      async close() {
        for (const one of opened) await one[Symbol.asyncDispose]();
        rmSync(folder, { recursive: true });
      },
    });
  },
});
