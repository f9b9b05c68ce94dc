/** Channels in a database file pass the suite of all channels. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeTime } from "../fake_clock.ts";
import { channelSuite } from "./channels.ts";

channelSuite("sqlite", {
  open() {
    const folder = mkdtempSync(join(tmpdir(), "celeriac-"));
    const time = new FakeTime();
    return Promise.resolve({
      url: `sqlite:${join(folder, "suite.db")}?synchronous=normal`,
      // Connections are shared by clock: with one of its own each end is a process for itself.
      process: () => time.clock(),
      pass: (ms) => time.pass(ms),
      close: () => Promise.resolve(rmSync(folder, { recursive: true })),
    });
  },
});
