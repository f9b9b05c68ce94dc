/** Which tasks a worker warns of whose broker takes messages back: those that may run for longer than it waits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tasksLongerThan } from "../../runtime/worker/long_tasks.ts";

const task = (name: string, options: { timeLimit?: number; acksLate?: boolean }) => ({
  name,
  module: "tasks.ts",
  params: null,
  options,
});

describe("tasks longer than a broker waits", () => {
  const tasks = [
    task("short", { timeLimit: 60 }),
    task("long", { timeLimit: 3600 }),
    task("early", { timeLimit: 3600, acksLate: false }),
    task("plain", {}),
  ];

  it("are those whose own time limit says so, unless they are acknowledged before they run", () => {
    assert.deepEqual(tasksLongerThan(1800, tasks, { taskTimeLimit: null, taskAcksLate: true }), ["long"]);
  });

  it("are by the settings' limit those that have none of their own", () => {
    assert.deepEqual(
      tasksLongerThan(1800, tasks, { taskTimeLimit: 7200, taskAcksLate: true }),
      ["long", "plain"],
    );
  });

  it("are none where a broker waits for ever, or nothing is acknowledged late", () => {
    assert.deepEqual(tasksLongerThan(Infinity, tasks, { taskTimeLimit: 7200, taskAcksLate: true }), []);
    assert.deepEqual(tasksLongerThan(1800, tasks, { taskTimeLimit: null, taskAcksLate: false }), []);
  });
});
