/** `query_task`, `active`, `reserved`, `scheduled`, `revoked`, `registered`: the tasks of a worker. */
import { formatIso } from "../../protocol/dates.ts";
import { decodeTask, peekTask } from "../../protocol/task_message.ts";
import {
  type Command,
  command,
  type ControlledWorker,
  flag,
  ids,
  names,
  type TaskInHand,
  type TaskPhase,
} from "./command.ts";

/** A task as Celery's answers have it. */
function infoOf(task: TaskInHand, worker: ControlledWorker, safe = false): Record<string, unknown> {
  const { delivery, startedAt, acknowledged } = task;
  const shared = {
    hostname: worker.node,
    time_start: startedAt === undefined ? null : startedAt / 1000,
    acknowledged,
    worker_pid: task.phase === "active" ? worker.pid : null,
  };
  try {
    const { id, task: name, args, kwargs, exchange, priority, redelivered } = decodeTask(delivery.text);
    return {
      id,
      name,
      args: safe ? JSON.stringify(args) : args,
      kwargs: safe ? JSON.stringify(kwargs) : kwargs,
      type: name,
      ...shared,
      delivery_info: { exchange, routing_key: delivery.queue, priority, redelivered },
    };
  } catch {
    // It is about to become a dead letter.
    const { id = "", task: name = "" } = peekTask(delivery.text) ?? {};
    return { id, name, args: [], kwargs: {}, type: name, ...shared, delivery_info: {} };
  }
}

function inPhase(worker: ControlledWorker, phase: TaskPhase): TaskInHand[] {
  return worker.inHand().filter((task) => task.phase === phase);
}

const active = command(
  { safe: flag },
  (worker, { safe }) => inPhase(worker, "active").map((task) => infoOf(task, worker, safe)),
);
const reserved = command({}, (worker) => inPhase(worker, "reserved").map((task) => infoOf(task, worker)));
const scheduled = command({}, (worker) =>
  inPhase(worker, "scheduled").map((task) => ({
    eta: task.due === undefined ? null : formatIso(task.due),
    priority: 6,
    request: infoOf(task, worker),
  })));
const revoked = command({}, (worker) => worker.revoked);

/** Options of a task that may be asked for, by Celery's names. */
const items: Readonly<Record<string, string>> = {
  time_limit: "timeLimit",
  soft_time_limit: "softTimeLimit",
  max_retries: "maxRetries",
  rate_limit: "rateLimit",
  ignore_result: "ignoreResult",
  acks_late: "acksLate",
  queue: "queue",
  priority: "priority",
};

const registered = command(
  { taskinfoitems: names },
  (worker, { taskinfoitems }) =>
    worker.tasks.map(({ name, options }) => {
      const known = options as Readonly<Record<string, unknown>>;
      const facts = taskinfoitems.flatMap((item) => {
        const value = known[items[item] ?? item];
        return value === undefined || value === null ? [] : [`${item}=${value}`];
      });
      return facts.length === 0 ? name : `${name} [${facts.join(" ")}]`;
    }).sort(),
);

/** By their names in Celery, old ones too. */
export const taskCommands: Readonly<Record<string, Command>> = {
  query_task: command({ ids }, (worker, { ids }) => {
    const wanted = new Set(ids);
    const found = worker.inHand().map((task) => ({ task, info: infoOf(task, worker) }))
      .filter(({ info }) => wanted.has(info.id as string));
    return Object.fromEntries(found.map(({ task, info }) => [info.id, [task.phase, info]]));
  }),
  active,
  dump_active: active,
  reserved,
  dump_reserved: reserved,
  scheduled,
  dump_schedule: scheduled,
  revoked,
  dump_revoked: revoked,
  registered,
  dump_tasks: registered,
};
