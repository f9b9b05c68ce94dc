/** `revoke`, `revoke_by_stamped_headers` and `terminate`: tasks that are not to run any more. */
import { stringifyPythonJson } from "../../protocol/python_json.ts";
import {
  type Command,
  command,
  type ControlledWorker,
  flag,
  ids,
  stamps,
  type Surroundings,
  textOrNull,
} from "./command.ts";

/** A signal's name, or its number: what Python's `signal.SIGKILL` is in a message. */
function signalOrNull(value: unknown): string | null {
  return Number.isSafeInteger(value) ? String(value) : textOrNull(value);
}

async function revokeTasks(
  worker: ControlledWorker,
  tasks: readonly string[],
  terminate: boolean,
  signal: string | null,
  { log }: Surroundings,
): Promise<unknown> {
  if (!terminate) {
    await worker.revoke(tasks);
    log("info", `Revoked: ${tasks.join(", ")}`);
    return { ok: `tasks ${tasks.join(", ")} flagged as revoked` };
  }
  // A signal can be sent to a process; an isolate is ended as a whole, whatever its task would do about one.
  if (signal !== null && !/^((SIG)?(TERM|KILL)|15|9)$/i.test(signal)) {
    log("info", `The signal ${signal} can't be sent to an isolate: it is ended at once, as by SIGKILL.`);
  }
  const ended = await worker.terminate(tasks);
  if (ended.length === 0) return { ok: "terminate: tasks unknown" };
  log("info", `Terminated: ${ended.join(", ")}`);
  return { ok: `terminate: ${ended.join(", ")}` };
}

async function revokeStamped(
  worker: ControlledWorker,
  headers: Readonly<Record<string, unknown>>,
  terminate: boolean,
  { log }: Surroundings,
): Promise<unknown> {
  const ended = await worker.revokeStamped(headers, terminate);
  const text = stringifyPythonJson(headers);
  log("info", `Revoked by stamps: ${text}`);
  if (!terminate) return { ok: `headers ${text} flagged as revoked, but not terminated` };
  if (ended.length === 0) return { ok: `headers ${text} were not terminated` };
  log("info", `Terminated: ${ended.join(", ")}`);
  return { ok: `headers ${text} revoked` };
}

/** By their names in Celery. */
export const revokeCommands: Readonly<Record<string, Command>> = {
  revoke: command(
    { task_id: ids, terminate: flag, signal: signalOrNull },
    (worker, { task_id, terminate, signal }, around) =>
      revokeTasks(worker, task_id, terminate, signal, around),
  ),
  revoke_by_stamped_headers: command(
    { headers: stamps, terminate: flag },
    (worker, { headers, terminate }, around) => revokeStamped(worker, headers, terminate, around),
  ),
  terminate: command(
    { task_id: ids, signal: signalOrNull },
    (worker, { task_id, signal }, around) => revokeTasks(worker, task_id, true, signal, around),
  ),
};
