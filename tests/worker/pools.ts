/** A pool with real isolates, in time that the test turns, with all that it tells. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import type { Death } from "../../runtime/isolate/isolate.ts";
import { findModules } from "../../runtime/isolate/load_modules.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { Pool } from "../../runtime/worker/pool.ts";
import { completeOptions, isolateSettings } from "../../runtime/worker/worker_options.ts";
import { FakeClock } from "../fake_clock.ts";

/** Milliseconds that no test waits for. */
export const FOREVER = 1_000_000;

const MODULES = ["tasks.ts", "limited.ts"].map((file) => fileURLToPath(new URL(file, import.meta.url)));

/** A call in a queue's envelope; its tag is its task's id. */
export function delivery(task: string, ...args: unknown[]): Delivery {
  return deliveryWith({}, task, ...args);
}

/** The same with time limits in its message. */
export function deliveryWith(
  options: { readonly timeLimit?: readonly [number | null, number | null] },
  task: string,
  ...args: unknown[]
): Delivery {
  const id = crypto.randomUUID();
  const message = encodeTask({ id, task, args, kwargs: {}, queue: "q", ...options });
  return { tag: id, queue: "q", text: encodeEnvelope(message) };
}

/** What a pool has told. */
export interface Told {
  reported: number;
  readonly finished: Delivery[];
  /** Their values, in the same order. */
  readonly values: unknown[];
  readonly interrupted: [Delivery[], string][];
  readonly overLimit: [Delivery, number][];
  /** What tasks have printed. */
  readonly lines: string[];
  readonly warnings: string[];
  /** Where isolates may die: why, and how. */
  readonly deaths: [string, Death | undefined][];
}

/** Starts a pool on the tasks of `tasks.ts` and `limited.ts`. It may neither give anything back nor, unless said, lose an isolate. */
export async function openPool(
  { slots = 1, isolates = 1, settings: given = {}, mayDie = false }: {
    slots?: number;
    isolates?: number;
    mayDie?: boolean;
    settings?: GivenSettings;
  } = {},
) {
  const settings = resolveSettings({ from: "the test", settings: { brokerUrl: "memory:pool", ...given } });
  const clock = new FakeClock();
  const told: Told = {
    reported: 0,
    finished: [],
    values: [],
    interrupted: [],
    overLimit: [],
    lines: [],
    warnings: [],
    deaths: [],
  };
  const modules = await findModules(MODULES);
  const pool = new Pool(isolateSettings(completeOptions({ settings, modules: [], slots })), clock, {
    finished(delivery, _report, _id, text) {
      told.finished.push(delivery);
      told.values.push(text === "" ? undefined : JSON.parse(text).result);
    },
    reported: () => void told.reported++,
    state() {},
    log({ text, own, level }) {
      if (own) told.lines.push(text);
      else if (level === "warning") told.warnings.push(text);
    },
    relay: () => assert.fail("nothing is sent"),
    handBack: (deliveries) => assert.fail(`${deliveries.length} handed back`),
    interrupted: (deliveries, why) => void told.interrupted.push([[...deliveries], why]),
    overLimit: (delivery, seconds) => void told.overLimit.push([delivery, seconds]),
    died: (reason, _started, _unreported, how) => {
      assert.ok(mayDie, reason);
      told.deaths.push([reason, how]);
    },
    restartFailed: (reason) => assert.fail(reason),
  });
  await pool.start(modules, isolates);
  return { pool, clock, told, modules };
}
