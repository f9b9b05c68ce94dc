/** A Redis Cluster of the test's own: three masters, and a replica of each where the test asks for them. */
import { ask, freePort, type RedisServer, startRedis } from "./redis.ts";

/** Milliseconds without an answer after which a node counts as dead. */
const NODE_TIMEOUT = 1_000;
const SLOTS = [[0, 5_460], [5_461, 10_922], [10_923, 16_383]] as const;

export class RedisClusterSetting {
  readonly masters: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];

  private constructor(masters: readonly RedisServer[], replicas: readonly RedisServer[]) {
    this.masters = masters;
    this.replicas = replicas;
  }

  /** Starts it; resolves when every node knows who has which slots, and the replicas have what their masters have. */
  static async start({ replicas = false } = {}): Promise<RedisClusterSetting> {
    const nodes = await Promise.all(Array.from({ length: replicas ? 6 : 3 }, startNode));
    const servers = nodes.map(({ server }) => server);
    const setting = new RedisClusterSetting(servers.slice(0, 3), servers.slice(3));
    const [first] = nodes;
    for (const [i, { server, bus }] of nodes.entries()) {
      await ask(server.port, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`);
      if (i < 3) await ask(server.port, `CLUSTER ADDSLOTSRANGE ${SLOTS[i].join(" ")}`);
      if (i > 0) await ask(first.server.port, `CLUSTER MEET 127.0.0.1 ${server.port} ${bus}`);
    }
    await everywhere(servers, "CLUSTER INFO", new RegExp(`cluster_known_nodes:${nodes.length}\r`));
    for (const [i, replica] of setting.replicas.entries()) {
      const id = /[0-9a-f]{40}/.exec(await ask(setting.masters[i].port, "CLUSTER MYID"))![0];
      await ask(replica.port, `CLUSTER REPLICATE ${id}`);
    }
    await everywhere(servers, "CLUSTER INFO", /cluster_state:ok/);
    await everywhere(setting.masters, "INFO replication", replicas ? /state=online/ : /role:master/);
    return setting;
  }

  /** The URL of all its masters. */
  get url(): string {
    return `redis+cluster://${this.masters.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  /** The master that has a key's slot, of those with which it began. */
  async masterOf(key: string): Promise<RedisServer> {
    const slot = Number(/\d+/.exec(await ask(this.masters[0].port, `CLUSTER KEYSLOT ${key}`))![0]);
    return this.masters[SLOTS.findIndex(([from, to]) => from <= slot && slot <= to)];
  }

  /** Resolves when another node has taken the slots of a master that was killed. */
  async failedOver(master: RedisServer): Promise<void> {
    const others = this.masters.filter((other) => other !== master);
    const slots = SLOTS[this.masters.indexOf(master)].join("-");
    // ID HOST:PORT@BUS FLAGS and so on, the slots last.
    await everywhere(
      others,
      "CLUSTER NODES",
      new RegExp(`^\\S+ \\S+:(?!${master.port}@).* ${slots}\r?$`, "m"),
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.masters, ...this.replicas].map((server) => server.stop()));
  }
}

async function startNode(): Promise<{ server: RedisServer; bus: number }> {
  const bus = await freePort();
  const config = {
    "cluster-enabled": "yes",
    "cluster-port": String(bus),
    "cluster-node-timeout": String(NODE_TIMEOUT),
    "repl-diskless-sync-delay": "0",
  };
  return { server: await startRedis({ config }), bus };
}

/** Resolves when all of these servers answer a question with something that matches. */
async function everywhere(servers: readonly RedisServer[], question: string, wanted: RegExp): Promise<void> {
  for (let tries = 0;; tries++) {
    const answers = await Promise.all(servers.map(({ port }) => ask(port, question)));
    if (answers.every((answer) => wanted.test(answer))) return;
    if (tries === 600) {
      throw new Error(`the nodes did not become a cluster within 30 s: ${answers.join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
