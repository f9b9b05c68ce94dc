/** Schedulers that share a real RabbitMQ, with classic and with quorum queues. */
import { after, before } from "node:test";
import { type ChannelModel, connect } from "amqplib";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { schedulerSuite } from "./schedulers.ts";

let vhost: TestVhost;
let admin: ChannelModel;

before(async () => {
  vhost = await startVhost();
  admin = await connect(vhost.url);
});
after(async () => {
  await admin.close();
  await vhost.close();
});

for (const type of ["classic", "quorum"]) {
  const url = (port: number) => `amqp://127.0.0.1:${port}/${vhost.name}?queue_type=${type}`;
  schedulerSuite(`rabbitmq, ${type} queues`, {
    forgetsNothing: true,
    async open() {
      const channel = await admin.createChannel();
      for (
        const queue of ["celery", "celeriac.beat.one minute:jobs.one", "celeriac.beat.five minutes:jobs.five"]
      ) {
        await channel.deleteQueue(queue);
      }
      await channel.deleteExchange("celery");
      await channel.close();
      return {
        url: url(vhost.server.port),
        async way() {
          const proxy = await startProxy(vhost.server.port);
          return {
            url: url(proxy.port),
            kill: () => (proxy.refuse(), proxy.cut()),
            cut: () => proxy.cut(),
            close: () => proxy.close(),
          };
        },
        close: () => Promise.resolve(),
      };
    },
  });
}
