/**
 * Private RabbitMQ servers for tests: a node with a name, a folder, a port mapper and loopback ports of its own, gone
 * when the test ends. Starting one takes seconds, so the files of a run share one, each in a virtual host of its own;
 * those that restart or fill a server start theirs.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { certificates, freePort } from "./redis.ts";

const run = promisify(execFile);

/** Milliseconds after which a server that has not started will not. */
const START_MS = 120_000;

export interface RabbitmqOptions {
  /** More lines of `rabbitmq.conf`: name to value. */
  readonly config?: Readonly<Record<string, string>>;
}

interface RabbitmqPorts {
  readonly amqp: number;
  readonly tls: number;
  readonly distribution: number;
  readonly mapper: number;
}

/** Where a server is, as its starter tells others. */
export interface RabbitmqPlace {
  readonly folder: string;
  readonly ports: RabbitmqPorts;
}

/** A RabbitMQ server of the test's own. */
export class RabbitmqServer {
  readonly port: number;
  /** What {@linkcode sharedRabbitmq} finds it by. */
  readonly place: RabbitmqPlace;
  readonly #folder: string;
  readonly #environment: Record<string, string>;
  #child: ChildProcess | undefined;
  #mapper: ChildProcess | undefined;
  readonly #atExit = () => {
    this.#child?.kill("SIGKILL");
    this.#mapper?.kill("SIGKILL");
  };

  constructor(folder: string, ports: RabbitmqPorts) {
    this.place = { folder, ports };
    this.port = ports.amqp;
    this.#folder = folder;
    const node = `celeriac${ports.amqp}@localhost`;
    this.#environment = {
      HOME: folder,
      ERL_EPMD_PORT: String(ports.mapper),
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: node,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(ports.amqp),
      RABBITMQ_DIST_PORT: String(ports.distribution),
      RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_PID_FILE: join(folder, "pid"),
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
      RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, "advanced"),
      RABBITMQ_CONF_ENV_FILE: join(folder, "environment"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
      RABBITMQ_FEATURE_FLAGS_FILE: join(folder, "feature_flags"),
      // The script then becomes the node, so that its process id is the node's.
      RUNNING_UNDER_SYSTEMD: "true",
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
    };
    process.on("exit", this.#atExit);
  }

  /** The process id of the node. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The URL of a virtual host. */
  url(vhost = "/"): string {
    return `amqp://guest:guest@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
  }

  /** The same by TLS, with a certificate of the server's own; the URL names its authority. */
  secureUrl(vhost = "/"): string {
    const { folder, ports } = this.place;
    const authority = encodeURIComponent(join(folder, "ca.crt"));
    return `amqps://guest:guest@127.0.0.1:${ports.tls}/${
      encodeURIComponent(vhost)
    }?ssl_ca_certs=${authority}`;
  }

  /** Makes a virtual host, in which `guest` may do everything. */
  async addVhost(name: string): Promise<void> {
    await this.evaluate(
      `rabbit_vhost:add(<<"${name}">>, <<"test">>), ${allow("guest", name, ".*", ".*", ".*")}.`,
    );
  }

  /** Makes a user who may configure, write and read what matches these patterns. */
  async addUser(
    name: string,
    vhost: string,
    { configure, write, read }: { configure: string; write: string; read: string },
  ): Promise<void> {
    await this.evaluate(
      `rabbit_auth_backend_internal:add_user(<<"${name}">>, <<"${name}">>, <<"test">>), ` +
        `${allow(name, vhost, configure, write, read)}.`,
    );
  }

  /** Starts it, on its port and with its data. */
  async start(): Promise<void> {
    // The port mapper would be started by the node as a daemon, which nobody could stop by its id.
    const environment = { ...process.env, ...this.#environment };
    this.#mapper ??= spawn("epmd", [], { env: environment, stdio: "ignore" });
    await listening(Number(this.#environment.ERL_EPMD_PORT));
    const server = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    const child = spawn(server, [], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let log = "";
    const ended = new Promise<never>((_, reject) => {
      child.on("error", reject);
      child.on("exit", (code, signal) => {
        reject(new Error(`rabbitmq-server ended with ${code ?? signal}:\n${log}`));
      });
    });
    const started = new Promise<void>((resolve) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.on("data", (data) => {
          log = (log + data).slice(-10_000);
          // Clients that are there before it has said so may have their errors logged in the middle of the line.
          if (log.includes("completed with")) resolve();
        });
      }
    });
    ended.catch(() => {});
    let patience: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      patience = setTimeout(() => reject(new Error(`rabbitmq-server has not started:\n${log}`)), START_MS);
    });
    try {
      await Promise.race([started, ended, late]);
    } finally {
      clearTimeout(patience);
    }
  }

  /** Runs Erlang code in the node (`rabbitmqctl eval`) and gives what it printed. */
  async evaluate(code: string): Promise<string> {
    const { stdout } = await run("/usr/lib/rabbitmq/bin/rabbitmqctl", ["eval", code], {
      env: { ...process.env, ...this.#environment },
    });
    return stdout;
  }

  /** Ends it for good; what it kept is deleted. */
  async stop(): Promise<void> {
    await this.#end("SIGKILL");
    process.off("exit", this.#atExit);
    const mapper = this.#mapper;
    this.#mapper = undefined;
    if (mapper?.pid !== undefined && mapper.exitCode === null) process.kill(mapper.pid, "SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Ends it as a power cut does. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** Ends it in an orderly way and starts it again, on its port and with its data. */
  async restart(): Promise<void> {
    await this.#end("SIGTERM");
    await this.start();
  }

  /** It stands still: connections stay, nothing is answered. */
  pause(): void {
    if (this.#child !== undefined) process.kill(this.#child.pid!, "SIGSTOP");
  }

  /** It goes on. */
  resume(): void {
    if (this.#child !== undefined) process.kill(this.#child.pid!, "SIGCONT");
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    process.kill(child.pid!, "SIGCONT");
    process.kill(child.pid!, signal);
    await ended;
  }
}

/** Starts a RabbitMQ server; installs the program first where it is missing and the system has `apt-get`. */
export async function startRabbitmq(options: RabbitmqOptions = {}): Promise<RabbitmqServer> {
  await installed();
  const folder = await mkdtemp(join(tmpdir(), "celeriac-rabbitmq-"));
  const ports = {
    amqp: await freePort(),
    tls: await freePort(),
    distribution: await freePort(),
    mapper: await freePort(),
  };
  await certificates(folder);
  const config: Record<string, string> = {
    "listeners.ssl.1": `127.0.0.1:${ports.tls}`,
    "ssl_options.cacertfile": join(folder, "ca.crt"),
    "ssl_options.certfile": join(folder, "server.crt"),
    "ssl_options.keyfile": join(folder, "server.key"),
    "log.console": "true",
    "log.console.level": "error",
    "log.file": "false",
    "vm_memory_high_watermark.absolute": "4GB",
    "disk_free_limit.absolute": "1MB",
    ...options.config,
  };
  await writeFile(
    join(folder, "rabbitmq.conf"),
    Object.entries(config).map(([name, value]) => `${name} = ${value}\n`).join(""),
  );
  await writeFile(join(folder, ".erlang.cookie"), folder.replace(/\W/g, ""));
  await chmod(join(folder, ".erlang.cookie"), 0o400);
  await writeFile(join(folder, "environment"), "");
  await writeFile(join(folder, "enabled_plugins"), "[].");
  const server = new RabbitmqServer(folder, ports);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** A virtual host of the test's own. */
export interface TestVhost {
  readonly server: RabbitmqServer;
  readonly name: string;
  readonly url: string;
  /** Ends the server, where it serves nobody else. */
  close(): Promise<void>;
}

/** How `tests/run.ts` tells its test processes of the server that they share. */
export const SHARED = "CELERIAC_TEST_RABBITMQ";

/** A virtual host with nothing in it, on the server that all files of a run share, or on one of its own. */
export async function startVhost(): Promise<TestVhost> {
  const shared = process.env[SHARED];
  const place: RabbitmqPlace | undefined = shared === undefined ? undefined : JSON.parse(shared);
  const server = place === undefined ? await startRabbitmq() : new RabbitmqServer(place.folder, place.ports);
  const name = `test-${crypto.randomUUID()}`;
  await server.addVhost(name);
  const close = () => place === undefined ? server.stop() : Promise.resolve();
  return { server, name, url: server.url(name), close };
}

/** Erlang code that gives a user permissions. */
function allow(user: string, vhost: string, configure: string, write: string, read: string): string {
  const names = [user, vhost, configure, write, read, "test"].map((name) => `<<"${name}">>`);
  return `rabbit_auth_backend_internal:set_permissions(${names.join(", ")})`;
}

/** Resolves as soon as somebody listens on a port. */
async function listening(port: number): Promise<void> {
  for (let tries = 0;; tries++) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (connected) return;
    if (tries === 500) throw new Error(`nobody listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function installed(): Promise<void> {
  try {
    await run("/usr/lib/rabbitmq/bin/rabbitmq-defaults");
  } catch {
    await run("apt-get", ["update", "-qq"]).catch(() => {});
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "rabbitmq-server"]);
  }
}
