/** `examples/http_polling.ts`, over HTTP and in a browser, with a real worker behind it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { generateSignedCookie } from "hono/cookie";
import type { Browser } from "playwright-core";
import { App } from "../../mod.ts";
import { startBrowser } from "../servers/browser.ts";
import { startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { startExample, temporaryBroker } from "./program.ts";

const SECRET = "known to this test only";

/** Starts the web server on a free port; gives its address. */
async function startSite(broker: string): Promise<{ site: string; server: TestWorker }> {
  const server = startExample("http_polling.ts", broker, { env: { PORT: "0", COOKIE_SECRET: SECRET } });
  const listening = await Promise.race([
    server.line(/^listening on/),
    server.exited.then((code) => assert.fail(`the server ended with ${code}:\n${server.lines.join("\n")}`)),
  ]);
  return { site: listening.slice("listening on ".length), server };
}

/** Somebody with a cookie jar. */
class Visitor {
  cookie = "";
  readonly #site: string;

  constructor(site: string) {
    this.#site = site;
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(this.#site + path, { headers: { cookie: this.cookie, ...headers } });
    const set = response.headers.get("set-cookie");
    if (set !== null) this.cookie = /max-age=0/i.test(set) ? "" : set.slice(0, set.indexOf(";"));
    return response;
  }

  async json(path: string): Promise<{ status: number; body: unknown }> {
    const response = await this.get(path);
    return { status: response.status, body: await response.json() };
  }

  /** Asks for the result until there is one. */
  async result(): Promise<{ status: number; body: unknown }> {
    for (;;) {
      const answer = await this.json("/add-result");
      if (answer.status !== 202) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The id of the task that the session remembers. */
  get taskId(): string {
    return decodeURIComponent(this.cookie).slice("session=".length).split(" ")[0];
  }
}

describe("http_polling.ts", () => {
  let broker: Awaited<ReturnType<typeof temporaryBroker>>, server: TestWorker, site: string;
  let worker: TestWorker | undefined;
  let browser: Browser | undefined;

  before(async () => {
    broker = await temporaryBroker();
    ({ server, site } = await startSite(broker.url));
  });
  after(async () => {
    await browser?.close();
    await worker?.stop();
    assert.equal(await server.stop(), 0);
    await broker.remove();
  });

  const work = async () => {
    worker ??= await startWorker(["-A", "examples/http_polling_tasks.ts", "-c", "1", "-b", broker.url]);
  };
  const nothing = { status: 404, body: { error: "there is nothing to read: start with /add?a=1&b=2" } };

  it("answers at once, says 'not yet', then the sum, and that once", async () => {
    const visitor = new Visitor(site);
    const added = await visitor.get("/add?a=1&b=2");
    assert.equal(added.status, 202);
    assert.deepEqual(await added.json(), { status: "not yet", poll: "/add-result" });
    assert.match(added.headers.get("set-cookie") ?? "", /^session=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
    const { taskId } = visitor;
    assert.deepEqual(await visitor.json("/add-result"), { status: 202, body: { status: "not yet" } });

    await work();
    assert.deepEqual(await visitor.result(), { status: 200, body: { result: 3 } });
    assert.equal(visitor.cookie, "");
    assert.deepEqual(await visitor.json("/add-result"), nothing);
    const app = new App({ broker: broker.url });
    assert.equal(await app.AsyncResult(taskId).meta(), null);
    await app.disconnect();
  });

  it("adds whatever is a number", async () => {
    await work();
    for (const [query, result] of [["a=-1.5&b=1e3", 998.5], ["a=0&b=0", 0], ["a=%20%207&b=%2B1", 8]]) {
      const visitor = new Visitor(site);
      assert.equal((await visitor.get(`/add?${query}`)).status, 202);
      assert.deepEqual(await visitor.result(), { status: 200, body: { result } });
    }
  });

  it("says what is wrong with bad input", async () => {
    const cases = [
      ["", "a is missing: ask for /add?a=1&b=2"],
      ["?a=1", "b is missing: ask for /add?a=1&b=2"],
      ["?a=%20&b=1", "a is missing: ask for /add?a=1&b=2"],
      ["?a=1&b=two", 'b is "two", which is not a number'],
      ["?a=1&b=Infinity", 'b is "Infinity", which is not a number'],
      ["?a=%3Cscript%3E&b=1", 'a is "<script>", which is not a number'],
    ];
    for (const [query, error] of cases) {
      const visitor = new Visitor(site);
      assert.deepEqual(await visitor.json(`/add${query}`), { status: 400, body: { error } });
      assert.equal(visitor.cookie, "");
    }
  });

  it("gives an error that the task threw, once", async () => {
    await work();
    const visitor = new Visitor(site);
    await visitor.get("/add?a=1e308&b=1e308");
    const error = "RangeError: the sum of 1e+308 and 1e+308 is too large";
    assert.deepEqual(await visitor.result(), { status: 500, body: { error } });
    assert.deepEqual(await visitor.json("/add-result"), nothing);
  });

  it("shows nobody the result of another", async () => {
    await work();
    const [ada, eve] = [new Visitor(site), new Visitor(site)];
    await ada.get("/add?a=20&b=22");
    await eve.get("/add?a=1&b=1");
    const own = eve.cookie;
    const signature = decodeURIComponent(own).slice(decodeURIComponent(own).lastIndexOf("."));
    const stolen = `${ada.taskId} ${Date.now()}`;
    for (const value of [stolen, stolen + signature, `${stolen}.AAAA`, ada.taskId]) {
      eve.cookie = `session=${encodeURIComponent(value)}`;
      assert.deepEqual(await eve.json("/add-result"), nothing);
    }
    eve.cookie = own;
    assert.deepEqual(await eve.result(), { status: 200, body: { result: 2 } });
    assert.deepEqual(await ada.result(), { status: 200, body: { result: 42 } });
  });

  it("says when a result was not read in time", async () => {
    const visitor = new Visitor(site);
    const started = Date.now() - 501_000;
    const cookie = await generateSignedCookie(
      "session",
      `019d0000-0000-7000-8000-000000000000 ${started}`,
      SECRET,
    );
    visitor.cookie = cookie.slice(0, cookie.indexOf(";"));
    const error = "the result is gone: it is kept for 500 seconds";
    assert.deepEqual(await visitor.json("/add-result"), { status: 410, body: { error } });
    assert.deepEqual(await visitor.json("/add-result"), nothing);
  });

  it("says when the queue can't be reached", async () => {
    const redis = await startRedis({ password: "right" });
    const { site, server } = await startSite(redis.url.replace("right", "wrong"));
    try {
      const error = "the task queue can't be reached: try again later";
      assert.deepEqual(await new Visitor(site).json("/add?a=1&b=2"), { status: 503, body: { error } });
    } finally {
      await server.stop();
      await redis.stop();
    }
  });

  it("gives a browser the page and a program JSON", async () => {
    const visitor = new Visitor(site);
    const type = async (path: string, accept: string) =>
      (await visitor.get(path, { accept })).headers.get("content-type");
    assert.match(await type("/", "*/*") ?? "", /^text\/html/);
    assert.match(await type("/add?a=1&b=2", "text/html,*/*;q=0.8") ?? "", /^text\/html/);
    assert.match(await type("/add?a=1&b=2", "*/*") ?? "", /^application\/json/);
    assert.match(await type("/add?a=1&b=2", "application/json") ?? "", /^application\/json/);
    assert.equal((await visitor.get("/elsewhere")).status, 404);
  });

  it("shows the sum in a browser", async () => {
    await work();
    browser = await startBrowser();
    const page = await browser.newPage();
    await page.goto(site);
    for (const [a, b, sum] of [["19", "23", "= 42"], ["-1.5", "1", "= -0.5"]]) {
      await page.getByLabel("a", { exact: true }).fill(a);
      await page.getByLabel("b", { exact: true }).fill(b);
      await page.getByRole("button", { name: "add" }).click();
      await page.getByText(sum, { exact: true }).waitFor();
      assert.equal(await page.getByLabel("a", { exact: true }).inputValue(), a);
    }
    assert.deepEqual(await page.context().cookies(), []);

    await page.getByLabel("a", { exact: true }).fill("1e308");
    await page.getByLabel("b", { exact: true }).fill("1e308");
    await page.getByRole("button", { name: "add" }).click();
    await page.getByText("RangeError: the sum of 1e+308 and 1e+308 is too large").waitFor();

    await page.getByLabel("a", { exact: true }).fill("");
    await page.getByRole("button", { name: "add" }).click();
    assert.equal(
      await page.locator(":invalid").count(),
      2,
      "the form and its first field say that a is missing",
    );
  });
});
