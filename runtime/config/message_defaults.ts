/** What a task's own options say of messages to it, for whoever makes one: **publish**. */
export interface MessageDefaults {
  readonly queue?: string;
  readonly priority?: number;
  readonly serializer?: string;
  readonly compression?: string;
  /** Seconds. */
  readonly expires?: number;
  readonly ignoreResult?: boolean;
}
