/**
 * What is told of chords between **run** and **settle**: those that begin with what follows a task, and parts that have ended
 * with it.
 */
import type { SignatureJson } from "./signature.ts";
import type { WireMessage } from "./wire_message.ts";

/** A chord that is about to begin. */
export interface ChordStart {
  /** The id of its header. */
  readonly groupId: string;
  /** How many parts are to end before its body is sent. */
  readonly size: number;
  /** Seconds that it is kept after the last part that was counted; 0 keeps it for ever. */
  readonly ttl: number;
  /**
   * Where groups stand among the results of its header: the text under which Celery saves it (`{"result": [[GID, null], [...]]}`),
   * so that its results reach the body in that shape. Without it they are one flat list, in the order of their indexes.
   */
  readonly group?: string;
}

/** A chord that a part of it adds parts to, before it has ended itself (Celery: `add_to_chord`). */
export interface ChordExtension {
  /** The id of its header. */
  readonly groupId: string;
  /** The tasks that it waits for, too: each is added once. */
  readonly taskIds: readonly string[];
  /** Seconds that it is kept; 0 keeps it for ever. */
  readonly ttl: number;
}

/** One part of a chord that has ended. */
export interface ChordPart {
  /** The id of the chord's header. */
  readonly groupId: string;
  /** Its task: each is counted once, at each place. */
  readonly taskId: string;
  /** Its place among the parts (`group_index`); null is behind all that have one. */
  readonly index: number | null;
  /** JSON text `[1, id, state, result]`, as Celery writes it. */
  readonly text: string;
  /** Seconds; 0 keeps it for ever. */
  readonly ttl: number;
}

/** A part that has ended, and what is called when all have. It comes with the report of the task that ended it. */
export interface EndedPart extends ChordPart {
  /** The chord's body, as the part's message carries it (`chord`): its ids are fixed. */
  readonly body: SignatureJson;
  /** Of the task that ended the part: where the body's result is waited for, and whose tree it belongs to. */
  readonly replyTo?: string;
  readonly rootId: string;
  /** It may have been counted before: a body that is sent for it is perhaps a second copy. */
  readonly redelivered: boolean;
}

/**
 * What is done before a task's own end is kept, in this order: chords are extended, its parts counted, chords begun, messages
 * published.
 */
export interface Following {
  /** To be published. */
  readonly messages: readonly WireMessage[];
  /** Chords among them, to be begun before they are published. */
  readonly chords?: readonly ChordStart[];
  /** Chords that some of the messages are parts of, to be extended before anything else. */
  readonly extended?: readonly ChordExtension[];
  /** Parts of chords that have ended with it, to be counted before it is settled. */
  readonly parts?: readonly EndedPart[];
}

/** All of several as one. */
export function together(each: readonly (Following | undefined)[]): Following {
  const given = each.filter((following) => following !== undefined);
  return {
    messages: given.flatMap(({ messages }) => messages),
    chords: given.flatMap(({ chords = [] }) => chords),
    extended: given.flatMap(({ extended = [] }) => extended),
    parts: given.flatMap(({ parts = [] }) => parts),
  };
}

/** Whether a task's end concerns a chord, so that there is more to do than to publish. */
export function concernsChords({ chords, extended, parts }: Following): boolean {
  return isFilled(chords) || isFilled(extended) || isFilled(parts);
}

function isFilled(list: readonly unknown[] | undefined): boolean {
  return list !== undefined && list.length > 0;
}
