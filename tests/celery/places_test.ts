/** One and the same URL leads Python and us to the same Redis: with a password, over TLS, behind a prefix of its keys. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { App } from "../../mod.ts";
import { startCeleryWorker, startPython } from "../servers/celery.ts";
import { type RedisServerOptions, startRedis } from "../servers/redis.ts";
import { startWorker } from "../servers/worker.ts";

/** Calls in both directions, over queues of their own. */
async function meet(
  server: RedisServerOptions,
  place: {
    readonly query?: string;
    readonly conf?: Readonly<Record<string, unknown>>;
    readonly ours?: string;
    /** A database of its own for results. */
    readonly results?: number;
  } = {},
): Promise<void> {
  const redis = await startRedis(server);
  const url = redis.url.replace("/0", "/3") + (place.query ?? "");
  const { ours = "", results } = place;
  const backend = results === undefined ? undefined : redis.url.replace("/0", `/${results}`);
  const conf = { ...place.conf, ...(backend && { result_backend: backend }) };
  const app = new App({ broker: url + ours, backend });
  const resultBackend = backend === undefined ? [] : ["--result-backend", backend];
  const [worker, theirs, py] = await Promise.all([
    startWorker(["-A", "tests/celery/tasks", "-b", url + ours, "-c", "1", "-Q", "ours", ...resultBackend]),
    startCeleryWorker({ url, conf, queues: ["theirs"] }),
    startPython({ url, conf }),
  ]);
  try {
    assert.equal(await py.run("task('js.add').apply_async((40, 2), queue='ours').get(timeout=30)"), "42");
    const result = app.sendTask("py.add", [40, 2], {}, { queue: "theirs" });
    assert.equal(await result.get({ timeout: 30 }), 42);
    assert.equal(await py.run("app.backend.client.exists(key)", { key: result.key }), "1");
  } finally {
    await Promise.all([app.disconnect(), py.stop(), worker.stop(), theirs.stop()]);
    await redis.stop();
  }
}

describe("Python and we meet", () => {
  it("behind a password that has to be escaped", () => meet({ password: "p@ss:w/rd?" }));

  it("over TLS, with a certificate of a private authority", () =>
    meet({ tls: true }, { query: "&ssl_cert_reqs=required" }));

  it("with results in another database than messages", () => meet({}, { results: 4 }));

  // Celery puts a `_` between the second one and the keys of results.
  for (const prefix of ["shop.", "shop"]) {
    it(`behind a prefix of all keys, "${prefix}"`, () =>
      meet({}, {
        conf: {
          broker_transport_options: { global_keyprefix: prefix },
          result_backend_transport_options: { global_keyprefix: prefix },
        },
        ours: `?global_keyprefix=${prefix}`,
      }));
  }
});
