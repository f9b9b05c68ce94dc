/** The master that sentinels name, and their word that it is another one now. */
import type { Redis } from "ioredis";
import { NotFoundError, type ServerAddress, type ServerFinder } from "./finder.ts";
import { askServer, openServer, type ServerLogin } from "./question.ts";
import { reasonOf } from "./refusal.ts";

/** Milliseconds between two tries to listen to one of them, at the most. */
const LONGEST_PAUSE = 2_000;
const MOVED = "+switch-master";

export class Sentinels implements ServerFinder {
  readonly #login: ServerLogin;
  readonly #master: string;
  /** The one that answered last comes first. */
  #addresses: readonly ServerAddress[];
  readonly #followers = new Set<(now: ServerAddress) => void>();
  #listening: Redis[] = [];

  constructor(addresses: readonly ServerAddress[], master: string, login: ServerLogin) {
    this.#addresses = addresses;
    this.#master = master;
    this.#login = login;
  }

  async find(): Promise<ServerAddress> {
    const silent: string[] = [];
    for (const address of this.#addresses) {
      const name = `${address.host}:${address.port}`;
      try {
        const found = await this.#ask(address);
        if (found === undefined) continue;
        this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
        return found;
      } catch (error) {
        silent.push(`${name}: ${reasonOf(error as Error).why}`);
      }
    }
    if (silent.length < this.#addresses.length) {
      throw new NotFoundError(
        `the sentinels know no master of the name "${this.#master}": write the one of their configuration as ` +
          `?master_name=NAME`,
        silent.length === 0,
      );
    }
    throw new NotFoundError(`none of its sentinels answers (${silent.join("; ")})`);
  }

  follow(moved: (now: ServerAddress) => void): () => void {
    if (this.#followers.size === 0) this.#listen();
    this.#followers.add(moved);
    return () => {
      this.#followers.delete(moved);
      if (this.#followers.size === 0) {
        for (const sentinel of this.#listening.splice(0)) sentinel.disconnect();
      }
    };
  }

  async #ask(address: ServerAddress): Promise<ServerAddress | undefined> {
    const answer = await askServer(address, this.#login, "sentinel", "get-master-addr-by-name", this.#master);
    if (answer === null) return undefined;
    const [host, port] = answer as [string, string];
    return { host, port: Number(port) };
  }

  /** Listens to all of them, because the one that is asked may be the one that is gone. */
  #listen(): void {
    this.#listening = this.#addresses.map((address) => {
      const sentinel = openServer(address, this.#login, {
        retryStrategy: (times) => Math.min(50 * 2 ** times, LONGEST_PAUSE) * (0.5 + Math.random() / 2),
      });
      sentinel.on("message", (_, text: string) => this.#hear(text));
      sentinel.subscribe(MOVED).catch(() => {});
      return sentinel;
    });
  }

  /** NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT */
  #hear(text: string): void {
    const [master, , , host, port] = text.split(" ");
    if (master !== this.#master) return;
    for (const moved of [...this.#followers]) moved({ host, port: Number(port) });
  }
}
