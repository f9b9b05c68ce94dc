/** `timer_cancel` and `timers`: the timers that tasks of a worker have set. Celery has none of it. */
import { CANCEL_COMMAND, LIST_COMMAND } from "../../hub/far_hubs.ts";
import { type Command, command, ids } from "./command.ts";

/** What the hubs of other workers and clients say, see `hub/far_hubs.ts`. */
export const timerCommands: Readonly<Record<string, Command>> = {
  [CANCEL_COMMAND]: command({ ids }, (worker, { ids }) => worker.timers.cancel(ids)),
  [LIST_COMMAND]: command({}, (worker) => worker.timers.report()),
};
