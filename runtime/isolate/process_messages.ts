/**
 * What a worker and the child process of one of its isolates say to each other, over the channel that the runtime opens
 * for them: structured copies in frames with their length before them. Beside these, what an isolate and its owner say
 * through a port (`inside.ts`) passes as it is, both ways.
 */
import type { Death, IsolateSettings } from "./isolate.ts";

/** The word on the command line by which the program becomes the inside of such an isolate. */
export const ISOLATE_PROCESS = "isolate-process";

/** To the process, once and first. */
export interface ProcessStart {
  readonly settings: IsolateSettings;
  /** Bytes that its tasks may take beside what it has once their modules are loaded. */
  readonly memoryLimit?: number;
}

/** What stands on the claim board of an isolate that is in a process. */
export interface BoardMessage {
  readonly kind: "board";
  /** Job, seconds it may run, ...: of those that were not told of. */
  readonly limits: readonly number[];
  /** KiB of its heap. */
  readonly heap: number;
  readonly isExclusive: boolean;
}

/** From the process. */
export type ProcessMessage =
  /** What stands on the isolate's claim board and is not known here. */
  | BoardMessage
  /** Its tasks have taken so many bytes, which is more than they may: it ends. */
  | { readonly kind: "full"; readonly bytes: number }
  /** The thread of the isolate has ended, or is held up, and could not say so itself. */
  | { readonly kind: "failed"; readonly reason: string; readonly how?: Death };
