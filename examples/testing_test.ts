/**
 * How to test code that calls tasks: `deno test -A examples/testing_test.ts` or `bun test examples/testing_test.ts`. In
 * your own code the names are `celeriac` and `celeriac/testing`.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { App, task } from "../mod.ts";
import { startTesting } from "../runtime/testing.ts";

/** The code under test: it greets somebody at once, and asks in three days how they like it. */
function signUp(app: App, name: string) {
  const welcome = app.sendTask("mail.welcome", [name]);
  app.sendTask("mail.ask", [name], {}, { countdown: 3 * 86_400 });
  return welcome.id;
}

it("sends mails now and later", async () => {
  const sent: string[] = [];
  const { app, idle, advance, close } = await startTesting({
    tasks: {
      mail: {
        welcome: (name: string) => sent.push(`Welcome, ${name}!`),
        ask: (name: string) => sent.push(`How are you, ${name}?`),
      },
    },
  });
  const id = signUp(app, "Ada");
  await idle();
  assert.deepEqual(sent, ["Welcome, Ada!"]);
  assert.equal(await app.AsyncResult(id).status, "SUCCESS");

  await advance(3 * 86_400);
  assert.deepEqual(sent, ["Welcome, Ada!", "How are you, Ada?"]);
  await close();
});

it("needs no more than alwaysEager where time plays no part", async () => {
  const app = new App({ alwaysEager: true });
  app.register("math", {
    divide: task({ params: ["x", "y"] }, (x: number, y: number) => {
      if (y === 0) throw new RangeError("by zero");
      return x / y;
    }),
  });
  assert.equal(await app.sendTask("math.divide", [6, 2]), 3);
  await assert.rejects(app.sendTask("math.divide", [6, 0]).get(), { name: "RangeError", message: "by zero" });
});
