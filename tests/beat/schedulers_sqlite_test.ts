/** Schedulers that share a database file, each with a connection of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { schedulerSuite } from "./schedulers.ts";

schedulerSuite("sqlite", {
  async open() {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-beat-"));
    const url = `sqlite:${folder}/beat.db?synchronous=normal`;
    return { url, way: () => Promise.resolve({ url }), close: () => rm(folder, { recursive: true }) };
  },
});
