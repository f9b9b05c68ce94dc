/** Publishing that waits for replicas. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { openTransport } from "../../../runtime/transport/open.ts";
import { taskMessage } from "../../conformance/transports.ts";
import { eventually } from "../../conformance/patience.ts";
import { ask, startRedis } from "../../servers/redis.ts";

it("publishing with ?replicas=1 resolves when a replica has it, and says so when none has", async () => {
  const master = await startRedis();
  const replica = await startRedis({
    config: { replicaof: `127.0.0.1 ${master.port}`, "repl-diskless-sync-delay": "0" },
  });
  const transport = await openTransport(`${master.url}?replicas=1&replicas_timeout=60`);
  const hasty = await openTransport(`${master.url}?replicas=1&replicas_timeout=0.2`);
  try {
    await eventually(async () => assert.match(await ask(master.port, "INFO replication"), /state=online/));
    await transport.publish([taskMessage("celery", "m1")]);
    assert.equal(await ask(replica.port, "LLEN celery"), ":1\r\n");
    replica.pause();
    await assert.rejects(hasty.publish([taskMessage("celery", "m2")]), {
      name: "UnreplicatedError",
      message: /has accepted what was sent, but 0 of 1 replicas confirmed it within 0.2 s/,
    });
    replica.resume();
    await transport.publish([taskMessage("celery", "m3")]);
    assert.equal(await ask(replica.port, "LLEN celery"), ":3\r\n");
  } finally {
    await transport[Symbol.asyncDispose]();
    await hasty[Symbol.asyncDispose]();
    await replica.stop();
    await master.stop();
  }
});
