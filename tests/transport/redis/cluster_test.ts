/** What is a cluster's own: slots that move while they are used. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { openResultStore } from "../../../runtime/results/open.ts";
import { openTransport } from "../../../runtime/transport/open.ts";
import type { Delivery } from "../../../runtime/transport/transport.ts";
import { eventually } from "../../conformance/patience.ts";
import { Heard, taskMessage } from "../../conformance/transports.ts";
import { numbered, success } from "../../conformance/transports/setting.ts";
import { RedisClusterSetting } from "../../servers/redis_cluster.ts";

it("a queue and results whose slots move to another node are found there, and nothing is lost", async () => {
  const cluster = await RedisClusterSetting.start();
  const transport = await openTransport(cluster.url);
  const results = await openResultStore(cluster.url);
  try {
    const heard = new Heard();
    const receiver = await transport.receive({ queues: ["celery"], worker: "worker@test", events: heard });
    const ids = numbered("m", 200);
    const settled = new Set<string>();
    const idOf = ({ text }: Delivery) => String(JSON.parse(text).headers.id);
    const publish = (some: readonly string[]) =>
      transport.publish(some.map((id) => taskMessage("celery", id)));
    /** As a worker does: what fails is done again. */
    const again = <T>(step: () => Promise<T>) => eventually(step, 20_000);
    const work = async (count: number) => {
      const deliveries: Delivery[] = [];
      while (deliveries.length < count) {
        deliveries.push(...await again(() => receiver.exchange([], count - deliveries.length)));
      }
      await again(() => results.store(deliveries.map((delivery) => success(idOf(delivery)))));
      const settlements = deliveries.map((delivery) => ({ delivery, outcome: "ack" as const }));
      await again(() => receiver.exchange(settlements, 0));
      for (const delivery of deliveries) settled.add(idOf(delivery));
    };
    await publish(ids.slice(0, 100));
    await work(50);
    const [held] = await receiver.exchange([], 1);
    for (const key of ["{celery}.celery", results.keyOf("m1"), results.keyOf("m150")]) {
      const from = await cluster.masterOf(key);
      await cluster.move(key, cluster.masters.find((master) => master !== from)!);
    }
    await again(() => publish(ids.slice(100)));
    await again(() => receiver.exchange([{ delivery: held, outcome: "return" }], 0));
    await work(150);
    assert.deepEqual([...settled].sort(), [...ids].sort());
    assert.deepEqual(await results.fetch(ids), ids.map((id) => success(id).text));
    assert.deepEqual(await transport.lengths(["celery"]), [
      { queue: "celery", ready: 0, delayed: 0, unacked: 0, dead: 0 },
    ]);
    // A worker that waits is woken by the node that has the queue now.
    const woken = receiver.arrival(AbortSignal.timeout(20_000));
    await publish(["late"]);
    await woken;
    assert.equal((await receiver.exchange([], 1)).length, 1);
    assert.deepEqual(heard.losses, []);
  } finally {
    await transport[Symbol.asyncDispose]();
    await results[Symbol.asyncDispose]();
    await cluster.stop();
  }
});
