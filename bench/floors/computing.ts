/**
 * The floor of tasks that compute: bare Web Workers and nothing else on the machine. Arguments: how many, how many tasks
 * each, rounds a task. Prints the seconds it took.
 */
import process from "node:process";

const [isolates, tasks, rounds] = process.argv.slice(2).map(Number);
const workers = Array.from(
  { length: isolates },
  () => new Worker(new URL("./computing_isolate.ts", import.meta.url), { type: "module" }),
);
/** Has each do `count` tasks; resolves when all have. */
const all = (count: number) =>
  Promise.all(workers.map((worker) => {
    const done = new Promise((resolve) => worker.onmessage = resolve);
    worker.postMessage({ count, rounds });
    return done;
  }));
// Until it is compiled.
await all(200);
const began = performance.now();
await all(tasks);
console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }));
for (const worker of workers) worker.terminate();
