/** The RabbitMQ that all contestants of a part share, one after the other; private, gone when the part ends. */
import { type Channel, type ChannelModel, connect } from "amqplib";
import { readFileSync } from "node:fs";
import { App } from "../mod.ts";
import { type RabbitmqServer, startRabbitmq } from "../tests/servers/rabbitmq.ts";
import { QUEUE } from "./redis_server.ts";

/** Where all results go: nobody reads it, so its length is the number of results. */
const REPLIES = "bench.replies";
/** Calls that leave together when a backlog is published. */
const AT_ONCE = 1_000;

export class BenchRabbitmq {
  readonly url: string;
  readonly #server: RabbitmqServer;
  readonly #connection: ChannelModel;
  readonly #channel: Channel;

  static async start(): Promise<BenchRabbitmq> {
    const server = await startRabbitmq();
    const connection = await connect(server.url());
    return new BenchRabbitmq(server, connection, await connection.createChannel());
  }

  private constructor(server: RabbitmqServer, connection: ChannelModel, channel: Channel) {
    this.#server = server;
    this.url = server.url();
    this.#connection = connection;
    this.#channel = channel;
  }

  /** Empties the broker, then publishes calls whose results all go to one queue. */
  async fill(count: number): Promise<void> {
    await this.#channel.deleteQueue(QUEUE);
    await this.#channel.deleteQueue(REPLIES);
    await this.#channel.assertQueue(REPLIES);
    const app = new App({ broker: this.url });
    for (let left = count; left > 0; left -= AT_ONCE) {
      let last;
      for (let i = Math.min(left, AT_ONCE); i > 0; i--) {
        last = app.sendTask("tasks.add", [1, 2], {}, { replyTo: REPLIES });
      }
      await last!.published;
    }
    await app.disconnect();
  }

  /** The URL of a virtual host with nothing in it. */
  async vhost(name: string): Promise<string> {
    await this.#server.addVhost(name);
    return this.#server.url(name);
  }

  /** Results that have arrived. */
  async settled(): Promise<number> {
    return (await this.#channel.checkQueue(REPLIES)).messageCount;
  }

  /** Milliseconds of processor time that the server has taken so far. */
  cpu(): Promise<number> {
    const fields = readFileSync(`/proc/${this.#server.pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
    return Promise.resolve((Number(fields[11]) + Number(fields[12])) * 10);
  }

  async stop(): Promise<void> {
    await this.#connection.close();
    await this.#server.stop();
  }
}
