/** What is due becomes a task: **publish**, with what the callback's own options, its route and the settings say. */
import { messageChoices, type MessageDefaults } from "../config/message_defaults.ts";
import type { TaskRoute } from "../config/task_routes.ts";
import type { Settings } from "../config/settings.ts";
import { encodeTask } from "../protocol/task_message.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { TimerCall } from "./timer_call.ts";

/** What surrounds a timer when its message is made. */
export interface MessageSurroundings {
  readonly settings: Settings;
  /** Who sends, in Celery's words. */
  readonly origin: string;
  route(
    task: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ): TaskRoute | null;
  /** The options of a task that is known here. */
  optionsOf(task: string): MessageDefaults | undefined;
}

/**
 * The message that calls a timer's task, under the id `id`. `due` in ms since 1970; with `isDelayed` it says so, and the
 * message is not to be run before.
 *
 * @throws What {@linkcode encodeTask} throws.
 */
export function timerMessage(
  id: string,
  { task: name, args, kwargs, options, parentId, rootId }: TimerCall,
  due: number,
  isDelayed: boolean,
  { settings, origin, route: routeOf, optionsOf }: MessageSurroundings,
): WireMessage {
  const task = optionsOf(name) ?? {};
  const route = routeOf(name, args, kwargs);
  const expires = options.expires ?? task.expires ?? route?.expires;
  return encodeTask({
    id,
    task: name,
    args,
    kwargs,
    origin,
    ...messageChoices(options, task, route, settings),
    eta: isDelayed ? due : undefined,
    expires: expires === undefined ? undefined : due + expires * 1000,
    headers: options.headers,
    parentId: parentId ?? undefined,
    rootId: rootId ?? undefined,
  });
}
