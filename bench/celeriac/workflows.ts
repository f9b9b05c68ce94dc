/** The workflows that celeriac's client makes in the bench; `../celery/workflows.py` makes the same. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type App, chain, chord, chunks, group } from "../../mod.ts";
import type { Workflow } from "../client.ts";

type Tasks = typeof import("../tasks.ts");

/** Runs a workflow, and gives the seconds from its first call to its last value. */
export async function runWorkflow(app: App, workflow: Workflow): Promise<{ seconds: number }> {
  const tasks = app.module<Tasks>("tasks");
  const began = performance.now();
  switch (workflow.shape) {
    case "chains": {
      const steps = Array.from({ length: workflow.steps - 1 }, () => tasks.add.s(1));
      const one = chain(tasks.add.s(0, 1), chain(steps));
      const values = await Promise.all(Array.from({ length: workflow.count }, () => one.delay()));
      isRight(values.every((value) => value === workflow.steps));
      break;
    }
    case "group": {
      const values = await group(Array.from({ length: workflow.count }, (_, i) => tasks.add.s(i, 1))).delay();
      isRight(values.length === workflow.count && values.every((value, i) => value === i + 1));
      break;
    }
    case "chord": {
      const parts = Array.from({ length: workflow.count }, (_, i) => tasks.add.s(i, 1));
      const sum = await chord(parts, tasks.sum.s()).delay();
      isRight(sum === workflow.count * (workflow.count + 1) / 2);
      break;
    }
    case "wordcount": {
      const { folder, texts, calls } = workflow;
      const paths = (await readdir(folder)).map((name) => join(folder, name));
      const parts = [];
      for (let at = 0; at < paths.length; at += texts) parts.push(paths.slice(at, at + texts));
      const all = await chord(chunks(tasks.count.s(), parts, calls), tasks.merge.s()).delay();
      isRight(all.texts === paths.length && all.words > 0);
    }
  }
  return { seconds: (performance.now() - began) / 1000 };
}

function isRight(is: boolean): void {
  if (!is) throw new Error("the workflow's value is wrong");
}
