/**
 * Calls typed by the tasks' own signatures, while none of their code is loaded here: the compiler knows that `add`
 * takes two numbers and that its result is a number.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/typed_client.ts        (or: bun examples/typed_client.ts)
 */
import { App } from "../mod.ts";

const app = new App();
const math = app.module<typeof import("../tasks/math.ts")>("math");
const text = app.module<typeof import("../tasks/text.ts")>("text");

const sum: number = await math.add(1, 2);
console.log("1 + 2 =", sum);

const product = math.mul.applyAsync({
  args: [6, 7],
  countdown: 0.1,
  priority: 0,
  headers: { from: "example" },
});
console.log("a moment later, 6 * 7 =", await product.get({ timeout: 30 }));

const [greeting, counts] = await Promise.all([text.greet("Ada"), text.count("a rose is a rose")]);
console.log(greeting, "The words:", counts);

// Any task by its name, be it in Python; what it returns is for you to say.
console.log("by name:", await app.sendTask<string>("text.greet", [], { name: "Grace", greeting: "Hi" }));

await app.disconnect();
