/** Why a message can't be run: what receiving it throws, and what the dead letter it becomes is labelled with. */

/** What is known of the message beside the reason. */
export interface BadMessageDetails {
  /** What exactly is wrong, for a log line. */
  readonly detail?: string;
  readonly cause?: unknown;
  /** The task's id, when that much could be read. */
  readonly id?: string;
  /** The task's name, when that much could be read. */
  readonly task?: string;
}

/** A message that can't be decoded or asks for what is refused. It concerns this message alone, never its batch. */
export class BadMessageError extends Error {
  override readonly name: string = "BadMessageError";
  /** A few words without the message's own data: the label of the dead letter. */
  readonly reason: string;
  id: string | undefined;
  task: string | undefined;

  constructor(reason: string, details: BadMessageDetails = {}) {
    super(
      details.detail ? `${reason}: ${details.detail}` : reason,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.reason = reason;
    this.id = details.id;
    this.task = details.task;
  }
}

/** The message's content type or compression is one that is not read here, for safety or for want of a decoder. */
export class RefusedContentError extends BadMessageError {
  override readonly name = "RefusedContentError";
}

/** Text from outside, fit for one line of a log: quoted and cut. */
export function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : String(value);
  return JSON.stringify(text.length > 80 ? text.slice(0, 77) + "..." : text);
}
