/** The AMQP transport passes the suite of all transports, each process a connection of its own to a real server. */
import { Buffer } from "node:buffer";
import { after, before } from "node:test";
import { type ChannelModel, connect } from "amqplib";
import { systemClock } from "../../runtime/clock.ts";
import { openMemoryResults } from "../../runtime/results/memory.ts";
import { openAmqpTransport } from "../../runtime/transport/amqp.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { type Peer, type TestBroker, transportSuite } from "./transports.ts";

let vhost: TestVhost;
let admin: ChannelModel;
let stores = 0;

before(async () => {
  vhost = await startVhost();
  admin = await connect(vhost.url);
});
after(async () => {
  await admin.close();
  await vhost.close();
});

transportSuite("amqp", {
  storesResults: false,
  open(): Promise<TestBroker> {
    const open = new Set<() => Promise<void>>();
    const queues = new Set<string>();
    const store = `memory:amqp${++stores}`;
    return Promise.resolve({
      lease: 0.1,
      now: () => Date.now(),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      async put(queue, item) {
        queues.add(queue);
        const channel = await admin.createConfirmChannel();
        await channel.assertQueue(queue, { arguments: { "x-max-priority": 10 } });
        channel.sendToQueue(queue, Buffer.from(item));
        await channel.waitForConfirms();
        await channel.close();
      },
      async connect(options): Promise<Peer> {
        const proxy = await startProxy(vhost.server.port);
        const transport = openAmqpTransport(`amqp://127.0.0.1:${proxy.port}/${vhost.name}?max_priority=10`, {
          clock: systemClock,
          random: Math.random,
          lease: 15,
          visibilityTimeout: 3600,
          maxDeliveries: 5,
          maxMessageBytes: 16 * 1024 * 1024,
          ...options,
        });
        const results = openMemoryResults(store, { clock: systemClock });
        await transport.connect();
        const close = async () => {
          open.delete(close);
          for (const { queue } of await transport.lengths().catch(() => [])) queues.add(queue);
          await Promise.all([transport[Symbol.asyncDispose](), results[Symbol.asyncDispose]()]);
          await proxy.close();
        };
        open.add(close);
        return {
          transport,
          results,
          close,
          // A broker takes a process that does not answer for dead, and cuts its connection.
          pause: () => proxy.cut(),
          resume: () => Promise.resolve(),
          async crash() {
            proxy.refuse();
            proxy.cut();
            await close();
          },
        };
      },
      async close() {
        await Promise.all([...open].map((close) => close()));
        const channel = await admin.createChannel();
        for (const queue of queues) {
          for (const name of [queue, `celeriac.dead.${queue}`]) {
            await channel.deleteQueue(name);
            await channel.deleteExchange(name);
          }
        }
        await channel.close();
      },
    });
  },
});
