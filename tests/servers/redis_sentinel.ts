/** A Redis with two replicas and three sentinels, all of the test's own: what keeps it going when its master dies. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ask, freePort, type RedisServer, startRedis } from "./redis.ts";

/** The name that the sentinels know the master by. */
export const MASTER = "shop";
/** Milliseconds without an answer after which the master counts as dead. */
const DOWN_AFTER = 1_000;

export class SentinelSetting {
  /** Three; the first begins as the master. */
  readonly servers: readonly RedisServer[];
  readonly #sentinels: readonly Sentinel[];

  private constructor(servers: readonly RedisServer[], sentinels: readonly Sentinel[]) {
    this.servers = servers;
    this.#sentinels = sentinels;
  }

  /** Starts all; resolves when the replicas have what the master has, and the sentinels know one another. */
  static async start(): Promise<SentinelSetting> {
    const master = await startRedis();
    const replicaof = `127.0.0.1 ${master.port}`;
    const config = { replicaof, "repl-diskless-sync-delay": "0" };
    const replicas = await Promise.all([startRedis({ config }), startRedis({ config })]);
    const sentinels = await Promise.all([1, 2, 3].map(() => Sentinel.start(master.port)));
    const setting = new SentinelSetting([master, ...replicas], sentinels);
    await until(async () => {
      const known = await Promise.all(sentinels.map(({ port }) => ask(port, `SENTINEL MASTER ${MASTER}`)));
      const replication = await ask(master.port, "INFO replication");
      return /connected_slaves:2/.test(replication) &&
        (replication.match(/state=online/g) ?? []).length === 2 &&
        known.every((answer) =>
          /num-other-sentinels\r\n\$1\r\n2\r\n/.test(answer) && /num-slaves\r\n\$1\r\n2\r\n/.test(answer)
        );
    });
    return setting;
  }

  /** The URL of the three sentinels, in kombu's form. */
  get url(): string {
    return this.#sentinels.map(({ port }) => `sentinel://127.0.0.1:${port}`).join(";") +
      `/0?master_name=${MASTER}`;
  }

  /** The ports of the sentinels. */
  get ports(): readonly number[] {
    return this.#sentinels.map(({ port }) => port);
  }

  /** The server that is the master now, as a sentinel says. */
  async master(): Promise<RedisServer> {
    const answer = await ask(this.ports[0], `SENTINEL GET-MASTER-ADDR-BY-NAME ${MASTER}`);
    const server = this.servers.find(({ port }) => answer.includes(`\r\n${port}\r\n`));
    if (server === undefined) throw new Error(`no server of this setting is the master: ${answer}`);
    return server;
  }

  /** Resolves when a server has taken the place of `before` and has a replica of its own. */
  async failedOver(before: RedisServer): Promise<void> {
    await until(async () => {
      const now = await this.master();
      return now !== before && /state=online/.test(await ask(now.port, "INFO replication"));
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.stop()));
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

class Sentinel {
  readonly port: number;
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #atExit = () => this.#child.kill("SIGKILL");

  private constructor(port: number, folder: string, child: ChildProcess) {
    this.port = port;
    this.#folder = folder;
    this.#child = child;
    process.on("exit", this.#atExit);
  }

  static async start(master: number): Promise<Sentinel> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "celeriac-sentinel-"));
    const file = join(folder, "sentinel.conf");
    await writeFile(
      file,
      [
        `port ${port}`,
        "bind 127.0.0.1",
        `dir ${folder}`,
        `sentinel monitor ${MASTER} 127.0.0.1 ${master} 2`,
        `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER}`,
        `sentinel failover-timeout ${MASTER} 3000`,
        `sentinel parallel-syncs ${MASTER} 2`,
        "",
      ].join("\n"),
    );
    const child = spawn("redis-server", [file, "--sentinel"], { stdio: ["ignore", "pipe", "inherit"] });
    const sentinel = new Sentinel(port, folder, child);
    await new Promise<void>((resolve, reject) => {
      let log = "";
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`the sentinel ended with ${code}:\n${log}`)));
      child.stdout!.on("data", (data) => {
        log = (log + data).slice(-10_000);
        if (log.includes("+monitor master")) resolve();
      });
    });
    return sentinel;
  }

  async stop(): Promise<void> {
    process.off("exit", this.#atExit);
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
      process.kill(this.#child.pid!, "SIGKILL");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !await holds(); tries++) {
    if (tries === 600) throw new Error("the sentinels and replicas did not find one another within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
