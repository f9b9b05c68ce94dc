/** Slots of a cluster, as a Redis counts them. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { slotOf } from "../../../runtime/transport/redis/cluster/slots.ts";
import { ask, freePort, startRedis } from "../../servers/redis.ts";

it("a key's slot is the one that Redis says", async () => {
  const redis = await startRedis({
    config: { "cluster-enabled": "yes", "cluster-port": String(await freePort()) },
  });
  try {
    const keys = [
      "celery",
      "{celery}.unacked",
      "{}.a",
      "a{b}c{d}",
      "{a",
      "a}{b",
      "gr\u00fc\u00dfe",
      "{\u65e5\u672c}.x",
      "0",
      "123456789",
    ];
    for (const key of keys) {
      assert.equal(await ask(redis.port, `CLUSTER KEYSLOT ${key}`), `:${slotOf(key)}\r\n`, key);
    }
  } finally {
    await redis.stop();
  }
});
