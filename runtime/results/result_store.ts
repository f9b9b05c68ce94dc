/**
 * The contract of a result store (Celery: result backend): where a task's state and result are put when it is
 * settled, and where its caller finds them. `memory.ts`, `sqlite.ts`, `redis.ts` and `rpc.ts` implement it; nothing
 * else in the code knows which one runs.
 */
import type { RevokedIds } from "../transport/revoked_ids.ts";
import type { ChordStore, GroupStore } from "./chord_store.ts";

/** One state of one task on its way into a store. */
export interface StoredResult {
  /** The task's id. */
  readonly id: string;
  /** `SUCCESS`, `FAILURE`, `STARTED`, or any state of the user's own. */
  readonly state: string;
  /** The result's JSON text exactly as Celery writes it (`protocol/result_meta.ts`). */
  readonly text: string;
  /** Seconds to keep it; 0 keeps it for ever. */
  readonly ttl: number;
  /** Where the caller waits for it, for stores that send results to their callers (rpc). */
  readonly replyTo?: string;
}

export interface ResultStore extends AsyncDisposable {
  /** The store's URL with passwords masked: fit for logs. */
  readonly name: string;
  /** Ids of tasks that are not to run any more, for a broker that can't keep them. */
  readonly revoked?: RevokedIds;
  /** The parts of chords that have ended; without it chords are refused before anything is sent, as Celery refuses them. */
  readonly chords?: ChordStore;
  /** Groups that were saved to be found by their ids. */
  readonly groups?: GroupStore;

  /** Opens what the store needs. @throws {BrokerUnavailableError} when it cannot be reached. */
  connect(signal?: AbortSignal): Promise<void>;

  /**
   * Stores states and tells whoever watches them. All of a batch or, on an error, perhaps a part of it: storing
   * it again is harmless. A stored SUCCESS is never overwritten, not even by another SUCCESS.
   */
  store(results: readonly StoredResult[]): Promise<void>;

  /** The stored texts of `ids`, in step, `null` where nothing is stored (or it has expired). */
  fetch(ids: readonly string[]): Promise<(string | null)[]>;

  /** Deletes what is stored of `ids`. */
  forget(ids: readonly string[]): Promise<void>;

  /** Opens a watch: `listener` hears of every state stored of the ids that are added to it. */
  watch(listener: ResultListener): ResultWatch;

  /** The name under which a task's result stands in this store (`celery-task-meta-ID`). */
  keyOf(id: string): string;
}

/** Hears of one state of one task; may hear of the same one twice. */
export type ResultListener = (id: string, text: string) => void;

/** An open watch of a store: pushed, not polled; survives a lost connection by asking again for all its ids. */
export interface ResultWatch extends AsyncDisposable {
  /**
   * Watches `ids` too. When it resolves, the listener has heard of what was stored before, and will hear of what
   * is stored from then on. Ids added in the same tick go out as one batch.
   */
  add(ids: readonly string[]): Promise<void>;
  /** Stops watching `ids`. */
  remove(ids: readonly string[]): void;
}
