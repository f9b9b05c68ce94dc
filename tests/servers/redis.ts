/** Private Redis servers for tests: on a free loopback port, in a folder of their own, gone when the test ends. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface RedisServerOptions {
  /** Write every command to disk before it is answered, so that a kill loses nothing. Default false. */
  readonly appendonly?: boolean;
  readonly password?: string;
  /** Listen with TLS, by a certificate of the test's own; the URL names its authority. Default false. */
  readonly tls?: boolean;
  /** More lines of its configuration: name to value. */
  readonly config?: Readonly<Record<string, string>>;
}

/** A Redis server of the test's own. */
export class RedisServer {
  /** Database 0 of it, with its password and its authority. */
  readonly url: string;
  readonly port: number;
  /** The authority's certificate, with TLS. */
  readonly authority?: string;
  readonly #folder: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  readonly #atExit = () => this.#child?.kill("SIGKILL");

  constructor(port: number, folder: string, options: RedisServerOptions) {
    this.port = port;
    this.#folder = folder;
    const login = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
    if (options.tls) this.authority = join(folder, "ca.crt");
    this.url = this.authority
      ? `rediss://${login}127.0.0.1:${port}/0?ssl_ca_certs=${encodeURIComponent(this.authority)}`
      : `redis://${login}127.0.0.1:${port}/0`;
    const config: Record<string, string> = {
      bind: "127.0.0.1",
      dir: folder,
      ...(options.tls
        ? {
          port: "0",
          "tls-port": String(port),
          "tls-cert-file": join(folder, "server.crt"),
          "tls-key-file": join(folder, "server.key"),
          "tls-ca-cert-file": join(folder, "ca.crt"),
          "tls-auth-clients": "no",
        }
        : { port: String(port) }),
      // Saved when it is told to stop, so that a restart finds its data.
      save: "3600 1",
      ...(options.appendonly && { appendonly: "yes", appendfsync: "always" }),
      ...(options.password !== undefined && { requirepass: options.password }),
      ...options.config,
    };
    this.#args = Object.entries(config).flatMap(([name, value]) => [`--${name}`, value]);
    process.on("exit", this.#atExit);
  }

  /** Starts it, on its port and with its data. */
  async start(): Promise<void> {
    const child = spawn("redis-server", this.#args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    let log = "";
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.on(
        "exit",
        (code, signal) => reject(new Error(`redis-server ended with ${code ?? signal}:\n${log}`)),
      );
      child.stdout!.on("data", (data) => {
        log = (log + data).slice(-10_000);
        if (log.includes("Ready to accept connections")) resolve();
      });
    });
  }

  /** Ends it for good; what it kept is deleted. */
  async stop(): Promise<void> {
    await this.#end("SIGKILL");
    process.off("exit", this.#atExit);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Ends it as a power cut does. What it has not written is lost; {@linkcode start} begins with the rest. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** Ends it in an orderly way; its data is kept for {@linkcode start}. */
  shutdown(): Promise<void> {
    return this.#end("SIGTERM");
  }

  /** Ends it in an orderly way and starts it again, on its port and with its data. */
  async restart(): Promise<void> {
    await this.shutdown();
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
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    // By its id: on Deno a child process takes one signal only.
    process.kill(child.pid!, "SIGCONT");
    process.kill(child.pid!, signal);
    await ended;
  }
}

/** Starts a Redis server; installs the program first where it is missing and the system has `apt-get`. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  await installed();
  const folder = await mkdtemp(join(tmpdir(), "celeriac-redis-"));
  if (options.tls) await certificates(folder);
  for (let tries = 1;; tries++) {
    const server = new RedisServer(await freePort(), folder, options);
    try {
      await server.start();
      return server;
    } catch (error) {
      // Somebody else was faster to take that port.
      if (tries === 5 || !String(error).includes("Address already in use")) throw error;
    }
  }
}

/** A TCP port of the loopback address that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Sends one command, in the words of redis-cli, to a server without password; gives the answer as it is written. */
export function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, "127.0.0.1", () => socket.end(`${command}\r\nQUIT\r\n`));
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (data) => answer += data);
    socket.on("end", () => resolve(answer.replace(/\+OK\r\n$/, "")));
    socket.on("error", reject);
  });
}

async function installed(): Promise<void> {
  try {
    await run("redis-server", ["--version"]);
  } catch {
    await run("apt-get", ["update", "-qq"]).catch(() => {});
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "redis-server"]);
  }
}

/** An authority and a certificate of it for 127.0.0.1, good for a day. */
export async function certificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => run("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    ...[
      "req",
      "-x509",
      ...key,
      "-keyout",
      "ca.key",
      "-out",
      "ca.crt",
      "-days",
      "1",
      "-subj",
      "/CN=authority",
    ],
  );
  await openssl(
    ...[
      "req",
      "-x509",
      ...key,
      "-keyout",
      "server.key",
      "-out",
      "server.crt",
      "-days",
      "1",
      "-subj",
      "/CN=server",
    ],
    ...["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
  );
}
