/**
 * A web page that adds two numbers in the background: `GET /add?a=1&b=2` starts a task and answers at once, the page
 * then asks `/add-result` until the sum is there. One file for both runtimes, since both have node:http.
 *
 *     ./celeriac worker -A examples/http_polling_tasks.ts
 *     deno run -A examples/http_polling.ts        (or: bun examples/http_polling.ts)
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { serve } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import { HTTPException } from "hono/http-exception";
import { defaultApp } from "../mod.ts";
import { add, RESULT_SECONDS } from "./http_polling_tasks.ts";

const page = readFileSync(new URL("./http_polling.html", import.meta.url), "utf8");
// Signs the session cookie, so that nobody reads the result of another visitor, even knowing its id. Servers that
// share their visitors share this secret, too.
const secret = process.env.COOKIE_SECRET || crypto.getRandomValues(new Uint8Array(32));
const app = defaultApp();
const web = new Hono();

web.get("/", (c) => c.html(page));

web.get("/add", async (c) => {
  const result = add.delay(numberOf(c, "a"), numberOf(c, "b"));
  await result.published.catch((cause) => {
    throw new HTTPException(503, { message: "the task queue can't be reached: try again later", cause });
  });
  await setSignedCookie(c, "session", `${result.id} ${Date.now()}`, secret, {
    httpOnly: true,
    sameSite: "Lax",
    secure: c.req.url.startsWith("https:"),
  });
  const supports = ["application/json", "text/html"];
  const type = accepts(c, { header: "Accept", supports, default: "application/json" });
  return type === "text/html" ? c.html(page, 202) : c.json({ status: "not yet", poll: "/add-result" }, 202);
});

web.get("/add-result", async (c) => {
  c.header("Cache-Control", "no-store");
  const session = await getSignedCookie(c, secret, "session");
  if (!session) return c.json({ error: "there is nothing to read: start with /add?a=1&b=2" }, 404);
  const [id, started] = session.split(" ");
  if (Date.now() - Number(started) > RESULT_SECONDS * 1000) {
    deleteCookie(c, "session");
    return c.json({ error: `the result is gone: it is kept for ${RESULT_SECONDS} seconds` }, 410);
  }
  const result = app.AsyncResult<number>(id);
  if (!await result.ready()) return c.json({ status: "not yet" }, 202);
  deleteCookie(c, "session");
  try {
    return c.json({ result: await result.get() });
  } catch (error) {
    return c.json({ error: String(error) }, 500);
  } finally {
    await result.forget();
  }
});

web.onError((error, c) => {
  if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
  console.error(error);
  return c.json({ error: "something went wrong here" }, 500);
});

function numberOf(c: Context, name: string): number {
  const text = c.req.query(name)?.trim();
  if (!text) throw new HTTPException(400, { message: `${name} is missing: ask for /add?a=1&b=2` });
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  throw new HTTPException(400, { message: `${name} is ${JSON.stringify(text)}, which is not a number` });
}

const port = Number(process.env.PORT || 3000);
const server = serve({ fetch: web.fetch, hostname: "127.0.0.1", port }, ({ address, port }) => {
  console.log(`listening on http://${address}:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    server.close();
    await app.disconnect();
    process.exit();
  });
}
