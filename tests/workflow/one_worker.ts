/** A worker in the test's own process for each test of a file, closed after it. */
import assert from "node:assert/strict";
import { afterEach } from "node:test";
import type { AppOptions, ModuleClient } from "../../mod.ts";
import { startTesting, type Testing } from "../../runtime/testing.ts";

/** One worker at a time, whose tasks are called `t.NAME`. */
export interface OneWorker<Tasks> {
  /** Starts it; `f` calls its tasks. */
  start(settings?: AppOptions): Promise<Testing & { readonly f: ModuleClient<Tasks> }>;
  /** The one that runs. */
  readonly open: Testing;
}

export function oneWorker<Tasks extends object>(tasks: Tasks): OneWorker<Tasks> {
  let open: Testing | undefined;
  afterEach(async () => {
    await open?.close();
    open = undefined;
  });
  return {
    async start(settings) {
      open = await startTesting({ tasks: { t: tasks }, settings });
      return { ...open, f: open.app.module<Tasks>("t") };
    },
    get open() {
      return open ?? assert.fail("no worker was started");
    },
  };
}
