/** Where a task's message goes and how it is written: **publish**, whoever makes the message. */
import type { Settings } from "./settings.ts";
import type { TaskRoute } from "./task_routes.ts";

/** What a task's own options say of messages to it. */
export interface MessageDefaults {
  readonly queue?: string;
  readonly priority?: number;
  readonly serializer?: string;
  readonly compression?: string;
  /** Seconds. */
  readonly expires?: number;
  readonly ignoreResult?: boolean;
}

/** The same of one call, which may have been written by others. */
type CallChoices = {
  readonly [Name in Exclude<keyof MessageDefaults, "expires">]?: MessageDefaults[Name] | null;
};

/** What is decided for a message. */
export interface MessageChoices {
  readonly queue: string;
  readonly priority: number;
  readonly serializer: string;
  readonly compression: string | undefined;
  readonly ignoreResult: boolean;
}

/** What a call says goes before what its task says, that before its route, that before the settings. */
export function messageChoices(
  call: CallChoices,
  task: MessageDefaults,
  route: TaskRoute | null,
  settings: Settings,
): MessageChoices {
  return {
    queue: call.queue ?? task.queue ?? route?.queue ?? settings.taskDefaultQueue,
    priority: call.priority ?? task.priority ?? route?.priority ?? settings.taskDefaultPriority ?? 0,
    serializer: call.serializer ?? task.serializer ?? route?.serializer ?? settings.taskSerializer,
    compression: call.compression ?? task.compression ?? route?.compression ?? settings.taskCompression ??
      undefined,
    ignoreResult: call.ignoreResult ?? task.ignoreResult ?? settings.taskIgnoreResult,
  };
}
