/** `celeriac control` and `celeriac inspect` with workers in processes of their own, on SQLite. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { uid } from "../../mod.ts";
import { within } from "../conformance/patience.ts";
import { run } from "../servers/worker.ts";
import { Workshop } from "../worker/workshop.ts";

describe("celeriac control", () => {
  let shop: Workshop;
  before(async () => {
    shop = await Workshop.open();
  });
  after(() => shop[Symbol.asyncDispose]());

  const celeriac = (...args: string[]) => run([...args, "-b", shop.broker], { cwd: shop.folder });
  const wasRevoked = (result: PromiseLike<unknown>, message: string) =>
    assert.rejects(within(20_000, result, "the end of a revoked task"), {
      name: "TaskRevokedError",
      message,
    });

  it("revoke holds without a worker, and across the end of one", async () => {
    const [one, two] = [uid(), uid()];
    const none = await celeriac("control", "revoke", one, "-t", "0.1");
    assert.equal(none.code, 1);
    assert.match(none.stderr, /no worker answered in 0.1 s/);
    const first = shop.app.sendTask("jobs.echo", [1], {}, { taskId: one });
    const worker = await shop.worker("-c", "1", "-n", "w1@test");
    await wasRevoked(first, "revoked");

    const told = await celeriac("control", "revoke", two, "-d", "w1@test", "-t", "20");
    assert.equal(told.code, 0, told.stderr);
    assert.equal(told.stdout, `w1@test: tasks ${two} flagged as revoked\n`);
    await worker.kill();
    const second = shop.app.sendTask("jobs.echo", [2], {}, { taskId: two });
    await second.published;
    const next = await shop.worker("-c", "1", "-n", "w2@test");
    await wasRevoked(second, "revoked");
    assert.match(next.lines.join("\n"), /jobs\.echo\[.*is discarded: it was revoked/);
    await next.stop();
  });

  it("revoke_by_stamped_headers holds without a worker, for stamps that are texts or numbers", async () => {
    const none = await celeriac(...["control", "revoke_by_stamped_headers", "order=4711", "-t", "0.1"]);
    assert.match(none.stderr, /no worker answered in 0.1 s/);
    const revoked = ["4711", 4711].map((order) => shop.jobs.echo.s(1).stamp({ order }).delay());
    const worker = await shop.worker("-c", "1", "-n", "w0@test");
    for (const result of revoked) await wasRevoked(result, "revoked");
    const wrong = await celeriac(...["control", "revoke_by_stamped_headers", "order"]);
    assert.deepEqual([wrong.code, /order is no NAME=VALUE/.test(wrong.stderr)], [2, true]);
    await worker.stop();
  });

  it("revoke --terminate ends what runs", async () => {
    const worker = await shop.worker("-c", "1", "-n", "w3@test");
    const gate = shop.gate();
    const held = shop.jobs.block(gate.path);
    await within(10_000, worker.line(/"message":"blocking/), "its start");
    const found = await celeriac("inspect", "active", "-d", "w3@test", "-t", "20", "--json");
    assert.equal(JSON.parse(found.stdout)["w3@test"][0].id, held.id);
    const queried = await celeriac("control", "query_task", held.id, "-d", "w3@test", "-t", "20", "--json");
    assert.equal(JSON.parse(queried.stdout)["w3@test"][held.id][0], "active");
    const told = await celeriac("control", "revoke", held.id, "--terminate", "-d", "w3@test", "-t", "20");
    assert.equal(told.stdout, `w3@test: terminate: ${held.id}\n`, told.stderr);
    await wasRevoked(held, "terminated");
    assert.equal(await within(20_000, shop.jobs.echo("next"), "the next task"), "next");
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    await worker.stop();
  });

  it("says what a method takes, and what a worker refuses", async () => {
    const worker = await shop.worker("-c", "1", "-n", "w4@test");
    const here = ["-d", "w4@test", "-t", "20"];
    const [nothing, unknown, wrong, refused, limited] = await Promise.all([
      celeriac("control", "revoke"),
      celeriac("control", "nope"),
      celeriac("control", "time_limit", "jobs.echo", "soon"),
      celeriac("control", "time_limit", "jobs.nope", "5", ...here),
      celeriac("control", "time_limit", "jobs.echo", "none", "5", ...here),
    ]);
    assert.deepEqual([nothing.code, unknown.code, wrong.code], [2, 2, 2]);
    assert.match(nothing.stderr, /revoke: say which tasks/);
    assert.match(wrong.stderr, /soon is no number of seconds/);
    assert.equal(refused.code, 1);
    assert.equal(refused.stdout, "w4@test: error: unknown task\n");
    assert.equal(limited.stdout, "w4@test: time limits set successfully\n");
    const ping = await celeriac("control", "ping", ...here, "--json");
    assert.deepEqual(JSON.parse(ping.stdout), { "w4@test": { ok: "pong" } });
    const shutdown = await celeriac("control", "shutdown", ...here);
    assert.equal(shutdown.stdout, "w4@test: shutting down\n", shutdown.stderr);
    assert.equal(await within(20_000, worker.exited, "its end"), 0);
  });
});
