// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
import type { FakeClock } from "../fake_clock.ts";
import { FakeTime } from "../fake_clock.ts";
import { openMemoryResults } from "../../runtime/results/memory.ts";
import { openMemoryTransport } from "../../runtime/transport/memory.ts";
import { MemoryBroker } from "../../runtime/transport/memory/broker.ts";
import { transportSuite } from "./transports.ts";

let brokers = 0;

transportSuite("memory", {
  storesResults: true,
  async open() {
    const url = `memory:suite${++brokers}`;
    const time = new FakeTime();
    const opened: AsyncDisposable[] = [];
    return {
      lease: 15,
      async connect(options) {
        const clock: FakeClock = time.clock();
        const limits = {
          lease: 15,
          visibilityTimeout: 3600,
          maxDeliveries: 5,
          maxMessageBytes: 16 * 2 ** 20,
        };
        const transport = openMemoryTransport(url, { clock, random: Math.random, ...limits, ...options });
        const results = openMemoryResults(url, { clock });
        await transport.connect();
        await results.connect();
        opened.push(transport, results);
        return {
          transport,
          results,
          pause: () => time.pause(clock),
          resume: () => time.resume(clock),
          crash: async () => time.pause(clock),
          close: async () => {
            await transport[Symbol.asyncDispose]();
            await results[Symbol.asyncDispose]();
          },
        };
      },
      now: () => time.now(),
      pass: (ms) => time.pass(ms),
      put: async (queue, item) => MemoryBroker.named(url).put(queue, item),
      async close() {
        for (const one of opened) await one[Symbol.asyncDispose]();
      },
    };
  },
});
