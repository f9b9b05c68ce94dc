/**
 * A function that is a task, too: called it runs here, `.delay()` sends it to a worker and returns at once. Start a
 * worker on this very file, then run it:
 *
 *     ./celeriac worker -A examples/queue_function.ts
 *     deno run -A examples/queue_function.ts        (or: bun examples/queue_function.ts)
 */
import { defaultApp, task } from "../mod.ts";

/** Adds two numbers; its result is kept for 500 seconds. */
export const add = task({ resultExpires: 500 }, (a: number, b: number): number => a + b);

/** Divides; an error that it throws is its result. */
export const divide = task({ resultExpires: 500 }, (a: number, b: number): number => {
  if (b === 0) throw new RangeError(`${a} can't be divided by zero`);
  return a / b;
});

/** Has nothing to say, so nothing is stored of it. */
export const note = task({ storeUndefined: false }, (text: string): void => console.log(text));

if (import.meta.main) {
  console.log("called here:", add(1, 2));

  const sum = add.delay(1, 2);
  console.log("its key:", sum.key);
  console.log("its value at once:", sum.returnValue);
  await sum;
  console.log("its value a moment later:", sum.returnValue);

  const quotient = divide.delay(1, 0);
  await quotient.get({ propagate: false });
  console.log("a thrown error is the result:", String(quotient.returnValue));

  const noted = note.delay("hello");
  await add.delay(3, 4);
  console.log("what has no value is not stored:", await noted.status);
  await defaultApp().disconnect();
}
