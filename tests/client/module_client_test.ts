/**
 * Calls typed by a module's own signatures. Half of this file is for the compiler: `deno check` and `tsc` fail where a
 * wrong call is not an error.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App } from "../../runtime/client/app.ts";
import type { AsyncResult } from "../../runtime/client/async_result.ts";
import type * as shop from "./shop.ts";
import { freshBroker, published } from "./inbox.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
const typesAreEqual = <A, B>(equal: Equal<A, B>) => assert.equal(equal, true);

describe("a module's client", () => {
  let app: App;
  before(() => {
    app = new App({ broker: freshBroker() });
  });
  after(() => app.disconnect());

  const client = () => app.module<typeof shop>("shop");
  const requests = async () => (await published(app, "celery")).map(({ request }) => request);

  it("sends a call, a delay and an applyAsync under the module's name", async () => {
    await client().price("tea", 2).published;
    await client().price.delay("tea").published;
    await client().price.applyAsync({ args: ["tea", 3], priority: 1, queue: "celery" }).published;
    assert.deepEqual((await requests()).map(({ task, args, priority }) => [task, args, priority]), [
      ["shop.price", ["tea", 2], 0],
      ["shop.price", ["tea"], 0],
      ["shop.price", ["tea", 3], 1],
    ]);
  });

  it("does not load the module", async () => {
    await client().price("tea").published;
    assert.equal((await requests()).length, 1);
    assert.equal("shopIsLoaded" in globalThis, false);
  });

  it("can be awaited and printed without being taken for a promise", async () => {
    const awaited = await client();
    assert.equal(typeof awaited.price, "function");
    assert.equal(awaited.price, awaited.price);
    assert.equal(Object.prototype.toString.call(awaited), "[object Object]");
  });

  it("has the types of the module's functions", () => {
    type Client = ReturnType<typeof client>;
    typesAreEqual<ReturnType<Client["price"]>, AsyncResult<number>>(true);
    typesAreEqual<Parameters<Client["price"]>, [what: string, count?: number | undefined]>(true);
    typesAreEqual<ReturnType<Client["deliver"]>, AsyncResult<Date>>(true);
    typesAreEqual<ReturnType<Client["wrap"]>, AsyncResult<string>>(true);
    typesAreEqual<Parameters<Client["track"]>, [id: number]>(true);
    typesAreEqual<ReturnType<Client["track"]["delay"]>, AsyncResult<boolean>>(true);
    typesAreEqual<keyof Client, "price" | "deliver" | "wrap" | "track">(true);
  });

  it("makes wrong calls errors of the compiler", () => {
    const wrong = (shop: ReturnType<typeof client>) => {
      // @ts-expect-error: the first argument is a text
      shop.price(1);
      // @ts-expect-error: an argument is missing
      shop.price();
      // @ts-expect-error: there is one too many
      shop.price("tea", 1, 2);
      // @ts-expect-error: the second argument is a number
      shop.price.delay("tea", "two");
      // @ts-expect-error: the arguments of applyAsync are those of the task
      shop.price.applyAsync({ args: [2, "tea"] });
      // @ts-expect-error: there is no such option
      shop.price.applyAsync({ args: ["tea"], prio: 1 });
      // @ts-expect-error: the task's context is not the caller's to give
      shop.track({}, 1);
      // @ts-expect-error: there is no such task
      shop.steal("tea");
      // @ts-expect-error: what is no function is no task
      shop.TAX();
    };
    assert.equal(typeof wrong, "function");
    const values = async (shop: ReturnType<typeof client>) => {
      const price: number = await shop.price("tea");
      // @ts-expect-error: the value is a number
      const text: string = await shop.price("tea");
      // @ts-expect-error: it may be undefined, or an error
      const now: number = shop.price("tea").returnValue;
      return [price, text, now];
    };
    assert.equal(typeof values, "function");
  });
});
