/** Which node of a cluster is the master of which slots. Nodes fail, and slots move: then it is asked for anew. */
import { type Clock, systemClock, type TimerHandle } from "../../../clock.ts";
import { NotFoundError, type ServerAddress, type ServerFinder } from "../finder.ts";
import { askServer, type ServerLogin } from "../question.ts";
import { reasonOf } from "../refusal.ts";
import { slotOf } from "./slots.ts";

/** Milliseconds between two looks whether a node that stands still was replaced. */
const LOOK = 2_000;

/** Slots from one to another, and their master. */
interface Shard {
  readonly first: number;
  readonly last: number;
  readonly master: ServerAddress;
}

/** CLUSTER SLOTS: first, last, then its master and its replicas as host, port and so on. */
type SlotsAnswer = readonly [number, number, ...(readonly [string, number, ...unknown[]])[]][];

export class ClusterTopology {
  readonly #seeds: readonly ServerAddress[];
  readonly #login: ServerLogin;
  readonly #clock: Clock;
  readonly #followers = new Set<() => void>();
  #shards: readonly Shard[] = [];
  /** Nodes that were known, the one that answered last first. */
  #nodes: readonly ServerAddress[] = [];
  #asking: Promise<void> | undefined;
  #timer: TimerHandle;

  constructor(seeds: readonly ServerAddress[], login: ServerLogin, clock: Clock = systemClock) {
    this.#seeds = seeds;
    this.#login = login;
    this.#clock = clock;
  }

  /** The master of a key's slot, as far as is known. @throws {NotFoundError} */
  async ownerOf(key: string): Promise<ServerAddress> {
    const slot = slotOf(key);
    if (this.#shards.length === 0) await this.refresh();
    const shard = this.#shards.find(({ first, last }) => first <= slot && slot <= last);
    if (shard === undefined) throw new NotFoundError(`no node of the cluster has slot ${slot}`);
    return shard.master;
  }

  /** All masters, as far as is known. */
  get masters(): ServerAddress[] {
    return [...new Map(this.#shards.map(({ master }) => [nameOf(master), master])).values()];
  }

  /** Asks anew; who asks at the same time gets the same answer. @throws {NotFoundError} */
  refresh(): Promise<void> {
    return this.#asking ??= this.#refresh().finally(() => this.#asking = undefined);
  }

  /** Finds the node of a key for a connection that is to be where the key is. */
  finderFor(key: string): ServerFinder {
    return {
      find: async () => {
        await this.refresh();
        return this.ownerOf(key);
      },
      follow: (moved) =>
        this.follow(() => {
          this.ownerOf(key).then(moved, () => {});
        }),
    };
  }

  /** Calls `changed` after masters have changed; the result ends that. */
  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    if (this.#followers.size === 1) this.#look();
    return () => {
      this.#followers.delete(changed);
      if (this.#followers.size === 0) this.#clock.cancel(this.#timer);
    };
  }

  #look(): void {
    this.#timer = this.#clock.after(LOOK, () => {
      this.refresh().catch(() => {}).then(() => {
        if (this.#followers.size > 0) this.#look();
      });
    });
  }

  async #refresh(): Promise<void> {
    const silent: string[] = [];
    for (const node of distinct([...this.#nodes, ...this.#seeds])) {
      try {
        const answer = await askServer(node, this.#login, "cluster", "slots") as SlotsAnswer;
        // A node that has not met the others yet, or has lost them, knows of none.
        if (answer.length === 0) throw new Error("it knows no slots");
        this.#learn(answer, node);
        return;
      } catch (error) {
        silent.push(`${nameOf(node)}: ${reasonOf(error as Error).why}`);
      }
    }
    throw new NotFoundError(`none of the cluster's nodes answers (${silent.join("; ")})`);
  }

  #learn(answer: SlotsAnswer, asked: ServerAddress): void {
    const before = JSON.stringify(this.#shards);
    const others: ServerAddress[] = [];
    this.#shards = answer.map(([first, last, ...nodes]) => {
      // A node that does not know its own address means the one that it was asked at.
      const [master, ...replicas] = nodes.map(([host, port]) => ({ host: host || asked.host, port }));
      others.push(master, ...replicas);
      return { first, last, master };
    });
    this.#nodes = distinct([asked, ...others]);
    if (before !== JSON.stringify(this.#shards)) { for (const changed of [...this.#followers]) changed(); }
  }
}

/** An address as text. */
export function nameOf({ host, port }: ServerAddress): string {
  return `${host}:${port}`;
}

function distinct(addresses: readonly ServerAddress[]): ServerAddress[] {
  return [...new Map(addresses.map((address) => [nameOf(address), address])).values()];
}
