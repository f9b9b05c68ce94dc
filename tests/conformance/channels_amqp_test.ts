/** Channels on RabbitMQ pass the suite of all channels, against a real server. */
import { after, before } from "node:test";
import { type ChannelModel, connect } from "amqplib";
import { systemClock } from "../../runtime/clock.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { channelSuite } from "./channels.ts";

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

channelSuite("amqp", {
  readsAhead: true,
  async open() {
    const channel = await admin.createChannel();
    for (const id of ["t", "u", ...Array.from({ length: 200 }, (_, n) => `t${n}`)]) {
      for (const direction of ["to-client", "to-task"]) {
        await channel.deleteQueue(`celeriac.${direction}.${id}`);
      }
    }
    await channel.close();
    return {
      url: vhost.url,
      // Connections are shared by clock: with one of its own each end is a process for itself.
      process: () => ({ ...systemClock }),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: () => Promise.resolve(),
    };
  },
});
