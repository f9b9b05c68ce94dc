/** Three RabbitMQ nodes of the test's own that are one cluster. */
import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RabbitmqServer } from "./rabbitmq.ts";
import { freePort } from "./redis.ts";

export class RabbitmqCluster {
  readonly nodes: readonly RabbitmqServer[];

  private constructor(nodes: readonly RabbitmqServer[]) {
    this.nodes = nodes;
  }

  /** Starts three nodes; the second and third join the first. */
  static async start(): Promise<RabbitmqCluster> {
    const mapper = await freePort();
    const ports = await Promise.all([1, 2, 3].map(async () => ({
      amqp: await freePort(),
      distribution: await freePort(),
      tls: await freePort(),
      mapper,
    })));
    const cookie = `celeriac${mapper}`;
    const nodes: RabbitmqServer[] = [];
    for (const own of ports) {
      const folder = await mkdtemp(join(tmpdir(), "celeriac-rabbitmq-"));
      const config: Record<string, string> = {
        "log.console": "true",
        "log.console.level": "error",
        "log.file": "false",
        "vm_memory_high_watermark.absolute": "4GB",
        "disk_free_limit.absolute": "1MB",
        "cluster_formation.peer_discovery_backend": "classic_config",
        // Those that come later find the first at work.
        "cluster_formation.classic_config.nodes.1": nodeOf(ports[0].amqp),
        [`cluster_formation.classic_config.nodes.2`]: nodeOf(own.amqp),
      };
      const lines = Object.entries(config).map(([name, value]) => `${name} = ${value}\n`);
      await writeFile(join(folder, "rabbitmq.conf"), lines.join(""));
      await writeFile(join(folder, ".erlang.cookie"), cookie);
      await chmod(join(folder, ".erlang.cookie"), 0o400);
      await writeFile(join(folder, "environment"), "");
      await writeFile(join(folder, "enabled_plugins"), "[].");
      nodes.push(new RabbitmqServer(folder, own));
    }
    const cluster = new RabbitmqCluster(nodes);
    try {
      await nodes[0].start();
      await Promise.all(nodes.slice(1).map((node) => node.start()));
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The URLs of all nodes, with these options. */
  url(options: string): string {
    return this.nodes.map(({ port }) => `amqp://guest:guest@127.0.0.1:${port}/?${options}`).join(";");
  }

  /** The node on which the leader of a quorum queue runs. */
  async leaderOf(queue: string): Promise<RabbitmqServer> {
    const running = this.nodes.find(({ pid }) => pid !== undefined);
    const answer = await running!.evaluate(
      `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)), ` +
        `ra_leaderboard:lookup_leader(element(1, amqqueue:get_pid(Q))).`,
    );
    const node = this.nodes.find(({ port }) => answer.includes(nodeOf(port)));
    if (node === undefined) throw new Error(`no node of this cluster leads ${queue}: ${answer}`);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

function nodeOf(port: number): string {
  return `celeriac${port}@localhost`;
}
