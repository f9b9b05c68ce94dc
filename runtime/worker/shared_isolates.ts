/**
 * Several pools that share the isolates a worker may have at work: **dispatch**, one step before a pool, where tasks demand
 * different things. Isolates are started where they are needed; an idle one of one pool makes room for one of another, and
 * where none is idle the pools take turns.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import type { LimitsOfTask } from "../isolate/time_limits.ts";
import { peekTask } from "../protocol/task_message.ts";
import type { Delivery } from "../transport/transport.ts";
import { calledTask } from "./called_task.ts";
import type { Held } from "./lane.ts";
import type { EndAnswer, Pool } from "./pool.ts";
import type { Silence } from "./watch.ts";

const LOOK_EVERY_MS = 20;
/** A delivery that waits this long for its pool goes back to the broker, where a worker with room for it gets it. */
const HAND_BACK_MS = 1000;
/** But an isolate that starts is worth waiting for, so long. */
const START_MS = 5000;
/** An idle isolate of another pool ends for a pool that has some itself once that has needed more for this long. */
const SWITCH_MS = 100;
/** A busy one does for a pool that has none, after this long at work: starting isolates is not to be all that is done. */
const TURN_MS = 500;

/** What stands around the pools. */
export interface SharingOptions {
  /** How many isolates may be at work. */
  readonly concurrency: number;
  /** Tasks at once in each. */
  readonly slots: number;
  readonly clock: Clock;
  /** These wait too long. */
  handBack(deliveries: readonly Delivery[]): void;
}

/** The share of one pool. */
interface Share {
  readonly pool: Pool;
  /** What there is no room for in it, the oldest first. */
  waiting: { readonly delivery: Delivery; readonly since: number }[];
  /** By the monotonic clock: since when it has more to do than isolates to do it. */
  needySince: number | undefined;
  /** Since when it has an isolate at work. */
  workingSince: number | undefined;
}

/** Pools, with the interface of one. */
export class SharedIsolates {
  readonly #options: SharingOptions;
  readonly #clock: Clock;
  /** What names no task that is known goes to the first. */
  readonly #shares: readonly Share[];
  readonly #ofTask = new Map<string, Share>();
  /** Another pool gives it an isolate, which still runs something. */
  #promised: Share | undefined;
  #look: TimerHandle | undefined;

  /** Takes pools that have one isolate each, with the names of their tasks. */
  constructor(
    pools: readonly { readonly pool: Pool; readonly tasks: readonly string[] }[],
    options: SharingOptions,
  ) {
    this.#options = options;
    this.#clock = options.clock;
    this.#shares = pools.map(({ pool, tasks }) => {
      const share: Share = { pool, waiting: [], needySince: undefined, workingSince: undefined };
      for (const task of tasks) this.#ofTask.set(task, share);
      return share;
    });
    // Those beyond the number wait for their turn.
    for (const { pool } of this.#shares.slice(options.concurrency)) pool.shrink();
  }

  set ahead(ahead: number) {
    for (const pool of this.#pools) pool.ahead = ahead;
  }

  /** How many more deliveries they can take now. */
  get room(): number {
    let room = this.#free * this.#options.slots;
    for (const { pool, waiting } of this.#shares) room += pool.room - waiting.length;
    return Math.max(0, room);
  }

  /** Whether an isolate will soon have nothing to do, or is not even started for want of work. */
  get hungry(): boolean {
    return this.room > 0 && (this.#free > 0 || this.#pools.some((pool) => pool.hungry));
  }

  /** How many deliveries are in them, or wait. */
  get size(): number {
    let size = 0;
    for (const { pool, waiting } of this.#shares) size += pool.size + waiting.length;
    return size;
  }

  /** How many of them run now. */
  get running(): number {
    let running = 0;
    for (const pool of this.#pools) running += pool.running;
    return running;
  }

  /** Hands deliveries over to the pools of their tasks. */
  dispatch(deliveries: readonly Delivery[]): void {
    const since = this.#clock.monotonic();
    for (const delivery of deliveries) {
      const name = calledTask(delivery.text);
      const share = name === undefined ? undefined : this.#ofTask.get(name);
      (share ?? this.#shares[0]).waiting.push({ delivery, since });
    }
    for (const share of this.#shares) this.#feed(share);
    this.#balance();
  }

  /** One of the pools has something to tell, so it may have room. */
  reported(pool: Pool): void {
    for (const share of this.#shares) if (share.pool === pool) this.#feed(share);
    this.#balance();
  }

  setLimits(limits: LimitsOfTask): void {
    for (const pool of this.#pools) pool.setLimits(limits);
  }

  find(id: string): Held | undefined {
    const found = this.#pools.flatMap((pool) => pool.find(id) ?? []);
    for (const delivery of this.#waiting) {
      if (peekTask(delivery.text)?.id === id) found.push({ delivery, running: false });
    }
    return found.find(({ running }) => running) ?? found[0];
  }

  list(): Held[] {
    const waiting = this.#waiting.map((delivery) => ({ delivery, running: false }));
    return this.#pools.flatMap((pool) => pool.list()).concat(waiting);
  }

  silences(): Silence[] {
    return this.#pools.flatMap((pool) => pool.silences());
  }

  withdraw(delivery: Delivery): boolean {
    return this.#unwait(delivery) || this.#pools.some((pool) => pool.withdraw(delivery));
  }

  end(delivery: Delivery, why: string): EndAnswer {
    if (this.#unwait(delivery)) return "taken";
    for (const pool of this.#pools) {
      const answer = pool.end(delivery, why);
      if (answer !== "late") return answer;
    }
    return "late";
  }

  /** Takes back all that has not started. */
  takeBack(): Delivery[] {
    return [...this.#takeWaiting(), ...this.#pools.flatMap((pool) => pool.takeBack())];
  }

  /** Ends all isolates, each once what runs there has ended, and starts no more. What had not started comes back. */
  retire(): Delivery[] {
    this.#clock.cancel(this.#look);
    return [...this.#takeWaiting(), ...this.#pools.flatMap((pool) => pool.retire())];
  }

  /** Ends all isolates at once; what may have run in them, and what had not started. */
  terminate(): { started: Delivery[]; unstarted: Delivery[] } {
    this.#clock.cancel(this.#look);
    const left = { started: [] as Delivery[], unstarted: this.#takeWaiting() };
    for (const pool of this.#pools) {
      const { started, unstarted } = pool.terminate();
      left.started.push(...started);
      left.unstarted.push(...unstarted);
    }
    return left;
  }

  /** Hands over what there is room for. */
  #feed({ pool, waiting }: Share): void {
    const room = waiting.length === 0 ? 0 : pool.room;
    if (room > 0) pool.dispatch(waiting.splice(0, room).map(({ delivery }) => delivery));
  }

  /** How many isolates more may be at work. */
  get #free(): number {
    let free = this.#options.concurrency;
    for (const { isolates, leaving } of this.#pools) free -= isolates + leaving;
    return Math.max(0, free);
  }

  /** Whether it could keep more isolates busy than it has. */
  #isNeedy({ pool, waiting }: Share): boolean {
    return pool.load + waiting.length > pool.isolates * this.#options.slots;
  }

  /** Gives isolates to the pools that need them: first to those that have none, then to those that have needed them longest. */
  #balance(): void {
    const now = this.#clock.monotonic();
    for (const share of this.#shares) {
      if (this.#isNeedy(share)) share.needySince ??= now;
      else share.needySince = undefined;
      if (share.pool.atWork > 0) share.workingSince ??= now;
      else share.workingSince = undefined;
    }
    if (this.#promised?.needySince === undefined) this.#promised = undefined;
    const needy = this.#shares.filter(({ needySince }) => needySince !== undefined);
    const rank = (share: Share) => share === this.#promised ? 0 : share.pool.isolates === 0 ? 1 : 2;
    needy.sort((a, b) => rank(a) - rank(b) || a.needySince! - b.needySince!);
    for (const share of needy) {
      while (this.#free > 0 && this.#isNeedy(share)) this.#grow(share);
      if (this.#isNeedy(share)) this.#makeRoom(share, now);
    }
    if (needy.length > 0 || this.#shares.some(({ waiting }) => waiting.length > 0)) {
      this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
    }
  }

  #grow(share: Share): void {
    if (this.#promised === share) this.#promised = undefined;
    share.pool.grow();
  }

  /** All isolates are at work: one of another pool ends in favour of this one. */
  #makeRoom(share: Share, now: number): void {
    const needed = now - share.needySince!;
    const others = this.#shares.filter((other) => other !== share);
    if (share.pool.isolates === 0 || needed >= SWITCH_MS) {
      const gave = others.some(({ pool, waiting }) => waiting.length === 0 && pool.shrink());
      if (gave) return this.#grow(share);
    }
    if (share.pool.isolates > 0 || this.#promised !== undefined || needed < TURN_MS) return;
    const richest = others.reduce((a, b) => b.pool.atWork > a.pool.atWork ? b : a);
    if (richest.workingSince === undefined || now - richest.workingSince < TURN_MS) return;
    this.#promised = share;
    richest.needySince = now;
    const unstarted = richest.pool.release();
    richest.waiting.unshift(...unstarted.map((delivery) => ({ delivery, since: now })));
    this.#feed(richest);
    if (this.#free > 0) this.#grow(share);
  }

  #lookAround(): void {
    this.#look = undefined;
    const now = this.#clock.monotonic();
    for (const share of this.#shares) {
      this.#feed(share);
      const { atWork, isolates } = share.pool;
      const late = now - (atWork < isolates ? START_MS : HAND_BACK_MS);
      const fresh = share.waiting.findIndex(({ since }) => since > late);
      const waited = share.waiting.splice(0, fresh < 0 ? share.waiting.length : fresh);
      if (waited.length > 0) this.#options.handBack(waited.map(({ delivery }) => delivery));
    }
    this.#balance();
  }

  get #pools(): readonly Pool[] {
    return this.#shares.map(({ pool }) => pool);
  }

  get #waiting(): readonly Delivery[] {
    return this.#shares.flatMap(({ waiting }) => waiting.map(({ delivery }) => delivery));
  }

  #takeWaiting(): Delivery[] {
    const taken = [...this.#waiting];
    for (const share of this.#shares) share.waiting = [];
    return taken;
  }

  /** Takes a delivery out of those that wait; false where it is none of them. */
  #unwait(delivery: Delivery): boolean {
    return this.#shares.some(({ waiting }) => {
      const at = waiting.findIndex((each) => each.delivery === delivery);
      if (at >= 0) waiting.splice(at, 1);
      return at >= 0;
    });
  }
}
