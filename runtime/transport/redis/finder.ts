/**
 * Servers that move: where Sentinel or a cluster decides which server is the master, every connection asks for its
 * address anew, before each try.
 */
import { createConnection, Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { AbstractConnector } from "ioredis";

/** Where a server listens. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Knows whom to ask where the server is. */
export interface ServerFinder {
  /** Asks. @throws {NotFoundError} */
  find(): Promise<ServerAddress>;
  /** Calls `moved` when it is heard that the server is elsewhere now; the result ends that. */
  follow(moved: (now: ServerAddress) => void): () => void;
}

/** Nobody could say where the server is. */
export class NotFoundError extends Error {
  override readonly name = "NotFoundError";
  /** They have answered, and trying again is of no use. */
  readonly permanent: boolean;

  constructor(message: string, permanent = false) {
    super(message);
    this.permanent = permanent;
  }
}

/** The class of which ioredis makes one for a connection; `made` gets that. */
export function connectorTo(
  finder: ServerFinder,
  tls: ConnectionOptions | undefined,
  made: (connector: FindingConnector) => void,
): new () => FindingConnector {
  return class extends FindingConnector {
    constructor() {
      super(finder, tls);
      made(this);
    }
  };
}

/** How ioredis connects to a server that is looked for first. */
export class FindingConnector extends AbstractConnector {
  readonly #finder: ServerFinder;
  readonly #tls: ConnectionOptions | undefined;
  #address: ServerAddress | undefined;

  constructor(finder: ServerFinder, tls: ConnectionOptions | undefined) {
    super(0);
    this.#finder = finder;
    this.#tls = tls;
  }

  override async connect(): Promise<Socket> {
    this.connecting = true;
    this.firstError = undefined;
    try {
      const { host, port } = this.#address = await this.#finder.find();
      // Closed meanwhile.
      if (!this.connecting) return this.#none();
      this.stream = this.#tls ? connectTls({ host, port, ...this.#tls }) : createConnection({ host, port });
    } catch (error) {
      this.firstError = error as Error;
      return this.#none();
    }
    this.stream.once("error", (error) => this.firstError = error);
    return this.stream;
  }

  /** A replica takes no writes: whoever named it did not know yet. */
  override check(info: { readonly role?: string }): boolean {
    return info.role === undefined || info.role === "master";
  }

  /** Ends the connection at once where the server is elsewhere now; one that stands still would not say goodbye. */
  leaveFor(now: ServerAddress): void {
    const before = this.#address;
    if (before !== undefined && (before.host !== now.host || before.port !== now.port)) this.leave();
  }

  /** Ends the connection at once. */
  leave(): void {
    this.stream?.destroy();
  }

  /** A connection that has ended: ioredis then tries again as after any other. */
  #none(): Socket {
    this.stream = new Socket();
    this.stream.destroy();
    return this.stream;
  }
}
