/**
 * The floor of SQLite: the product's own connection and statements in a bare loop. Arguments: the broker's URL, messages
 * a batch.
 */
import process from "node:process";
import { systemClock } from "../../runtime/clock.ts";
import type { StoredResult } from "../../runtime/results/result_store.ts";
import { StoredResults } from "../../runtime/results/sqlite/stored_results.ts";
import { Database } from "../../runtime/transport/sqlite/database.ts";
import { FETCH_BYTES, FetchStep } from "../../runtime/transport/sqlite/fetch_step.ts";
import { locate } from "../../runtime/transport/sqlite/location.ts";
import { Owners } from "../../runtime/transport/sqlite/owners.ts";
import { SettleStep } from "../../runtime/transport/sqlite/settle_step.ts";
import { type Batch, drainBare } from "./lanes.ts";

const QUEUE = "celery";
const DAY = 86_400;
const LIMIT = 16 * 1024 * 1024;
const [url, room = "256"] = process.argv.slice(2);

const db = await Database.use(locate(url), { clock: systemClock, random: Math.random });
const owner = await db.write(() => db.part(Owners).add("floor"));

function step(tags: readonly number[], texts: readonly string[]): Promise<Batch<number>> {
  const results: StoredResult[] = [];
  for (let i = 0; i < texts.length; i += 2) {
    results.push({ id: texts[i], state: "SUCCESS", text: texts[i + 1], ttl: DAY });
  }
  return db.writeAhead(() => {
    const now = Date.now();
    db.part(StoredResults).put(results, now);
    db.part(SettleStep).acknowledge([...tags]);
    const limits = { maxMessageBytes: LIMIT, now };
    const taken = db.part(FetchStep).take(
      QUEUE,
      Number(room),
      owner,
      { bytes: FETCH_BYTES },
      limits,
      () => {},
    );
    return { tags: taken.map(({ id }) => id), envelopes: taken.map(({ text }) => text) };
  });
}

await drainBare(step);
await db.release();
process.exit(0);
