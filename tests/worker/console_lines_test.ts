import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startWorker } from "../servers/worker.ts";
import { JOBS, logOf, Workshop } from "./workshop.ts";

describe("what a task prints", () => {
  it("comes out as log lines with the task's name and id, from wherever in its run", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1", "--slots", "2");
      const [a, b] = [shop.jobs.say("a"), shop.jobs.say("b")];
      await Promise.all([a, b]);
      assert.equal(await worker.stop(), 0);
      for (const [word, result] of [["a", a], ["b", b]] as const) {
        const own = logOf(worker).filter((line) => line.id === result.id && line.own === true);
        assert.deepEqual(own.map(({ level, message, task }) => [level, message, task]), [
          ["info", `sync ${word}`, "jobs.say"],
          ["warning", `after a wait ${word}`, "jobs.say"],
          ["error", `in a timer { word: '${word}' }`, "jobs.say"],
        ]);
      }
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("is told by name and the end of the id in lines for people", async () => {
    const shop = await Workshop.open();
    const worker = await startWorker(["-A", JOBS, "-b", shop.broker, "-c", "1", "--log-format", "text"]);
    try {
      const said = shop.jobs.say("hello");
      await said;
      assert.equal(await worker.stop(), 0);
      const line = worker.lines.find((line) => line.includes("sync hello"))!;
      assert.match(line, new RegExp(` INFO +jobs\\.say\\[${said.id.slice(-8)}\\]: sync hello$`));
    } finally {
      await worker.kill();
      await shop[Symbol.asyncDispose]();
    }
  });
});
