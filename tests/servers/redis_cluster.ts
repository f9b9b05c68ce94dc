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

  /** The slot of a key. */
  async slotOf(key: string, witness: RedisServer = this.masters[0]): Promise<number> {
    return Number(/\d+/.exec(await ask(witness.port, `CLUSTER KEYSLOT ${key}`))![0]);
  }

  /** The master that has a key's slot now, as `witness` knows. */
  async masterOf(key: string, witness: RedisServer = this.masters[0]): Promise<RedisServer> {
    const slot = await this.slotOf(key, witness);
    // ID HOST:PORT@BUS FLAGS and so on, the slots last.
    for (const line of (await ask(witness.port, "CLUSTER NODES")).split(/\r?\n/)) {
      const [, port, ranges] = /^\S+ \S+:(\d+)@.* connected ((?:[\d-]+ ?)+)$/.exec(line) ?? [];
      const has = ranges?.trim().split(" ").some((range) => {
        const [from, to = from] = range.split("-").map(Number);
        return from <= slot && slot <= to;
      });
      if (has) return [...this.masters, ...this.replicas].find((server) => String(server.port) === port)!;
    }
    throw new Error(`nobody has the slot of ${key}`);
  }

  /** Resolves when another node than `before` has a key's slot, and all that live know it. */
  async failedOver(key: string, before: RedisServer): Promise<void> {
    const others = [...this.masters, ...this.replicas].filter((server) => server !== before);
    for (let tries = 0;; tries++) {
      const now = await Promise.all(others.map((witness) => this.masterOf(key, witness).catch(() => before)));
      if (now.every((server) => server !== before)) return;
      if (tries === 600) throw new Error("no replica took over within 30 s");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Moves a key's slot with all that is in it from its master to another. */
  async move(key: string, to: RedisServer): Promise<void> {
    const slot = await this.slotOf(key);
    const from = await this.masterOf(key);
    const idOf = async ({ port }: RedisServer) => /[0-9a-f]{40}/.exec(await ask(port, "CLUSTER MYID"))![0];
    const [source, target] = await Promise.all([idOf(from), idOf(to)]);
    await ask(to.port, `CLUSTER SETSLOT ${slot} IMPORTING ${source}`);
    await ask(from.port, `CLUSTER SETSLOT ${slot} MIGRATING ${target}`);
    for (;;) {
      const keys = (await ask(from.port, `CLUSTER GETKEYSINSLOT ${slot} 100`)).split("\r\n")
        .filter((line) => line !== "" && !/^[*$]/.test(line));
      if (keys.length === 0) break;
      await ask(from.port, `MIGRATE 127.0.0.1 ${to.port} "" 0 5000 KEYS ${keys.join(" ")}`);
    }
    for (const { port } of [to, from, ...this.masters]) {
      await ask(port, `CLUSTER SETSLOT ${slot} NODE ${target}`);
    }
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
