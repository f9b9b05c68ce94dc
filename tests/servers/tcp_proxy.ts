/** A TCP proxy for tests, which can do to connections what networks do: refuse, hold back, and cut in the middle. */
import { createConnection, createServer, type Server, type Socket } from "node:net";

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

export class TcpProxy {
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  readonly #listener: Server;
  #port = 0;
  #refusing = false;
  #holding = false;
  /** Bytes of the answers to come until all connections are cut; it counts what passes `when`. */
  #cut: { left: number; readonly done: () => void; readonly when: (data: Uint8Array) => boolean } | undefined;

  constructor(target: number) {
    this.#target = target;
    this.#listener = createServer((client) => this.#accept(client));
  }

  /** The port that clients connect to. */
  get port(): number {
    return this.#port;
  }

  /** How many connections go through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#listener.on("error", reject);
      this.#listener.listen(0, "127.0.0.1", () => {
        this.#port = (this.#listener.address() as { port: number }).port;
        resolve();
      });
    });
  }

  /** Cuts all connections at once, with a reset. */
  cut(): void {
    for (const { client, server } of [...this.#pairs]) {
      // The client hears a reset; the server only that nobody is there any more.
      client.resetAndDestroy();
      server.destroy();
    }
    this.#pairs.clear();
  }

  /** From now on new connections are cut as soon as they are made. */
  refuse(): void {
    this.#refusing = true;
  }

  /** New connections go through again, and what was held back is passed on. */
  accept(): void {
    this.#refusing = false;
    this.#holding = false;
    for (const { client, server } of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  /** Nothing is passed on any more in either direction; connections stay open. */
  hold(): void {
    this.#holding = true;
    for (const { client, server } of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  /**
   * Passes on `bytes` more of what the server answers, then cuts all connections in the middle of that answer.
   * Resolves when it has done so. Only answers in a chunk for which `when` holds count.
   */
  cutAfter(bytes: number, when: (data: Uint8Array) => boolean = () => true): Promise<void> {
    return new Promise((done) => this.#cut = { left: bytes, done, when });
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#listener.close(() => resolve()));
  }

  #accept(client: Socket): void {
    if (this.#refusing) return void client.resetAndDestroy();
    const server = createConnection(this.#target, "127.0.0.1");
    const pair = { client, server };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    server.setNoDelay(true);
    if (this.#holding) {
      client.pause();
      server.pause();
    }
    client.on("data", (data) => void server.write(data));
    server.on("data", (data: Uint8Array) => this.#answer(pair, data));
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on("error", end).on("close", end);
  }

  #answer({ client }: Pair, data: Uint8Array): void {
    const cut = this.#cut;
    if (cut === undefined || (!cut.when(data) && cut.left > 0)) return void client.write(data);
    if (cut.left >= data.length) {
      cut.left -= data.length;
      return void client.write(data);
    }
    this.#cut = undefined;
    const rest = data.subarray(0, cut.left);
    // A reset throws away what is still on its way, so the part that is to arrive goes first, with an end.
    const end = () => {
      this.cut();
      cut.done();
    };
    if (rest.length > 0) client.write(rest, () => setImmediate(end));
    else end();
  }
}

/** Starts a proxy to a port of the loopback address. */
export async function startProxy(target: number): Promise<TcpProxy> {
  const proxy = new TcpProxy(target);
  await proxy.listen();
  return proxy;
}
