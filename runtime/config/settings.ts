/**
 * All settings of an app and its workers, with their defaults. Stands before the way of a task: whoever publishes or
 * receives is given one resolved {@linkcode Settings}. The names are Celery's in camelCase where they mean the same.
 */
import type { CatchUp, Schedule } from "./schedule.ts";
import type { TaskRoutes } from "./task_routes.ts";

/** Settings as code reads them: everything has its value. */
export interface Settings {
  /**
   * Where tasks are sent (Celery: `broker_url`): `sqlite:PATH`, `redis://HOST:PORT/DB`, `rediss://...`,
   * `redis+sentinel://HOST,HOST/MASTER/DB`, `redis+cluster://HOST,HOST`, `amqp://HOST:PORT/VHOST`, `amqps://...` or
   * `memory:`.
   * Default `sqlite:./celeriac.db`, a file in the working folder.
   */
  readonly brokerUrl: string;
  /** How the broker holds and hands out messages (Celery: `broker_transport_options`). */
  readonly brokerTransportOptions: BrokerTransportOptions;
  /**
   * Where results are stored (Celery: `result_backend`), in the same forms as {@linkcode Settings.brokerUrl}.
   * Default null: the store that belongs to the broker.
   */
  readonly resultBackend: string | null;
  /**
   * Seconds for which a call retries to reach its broker before it fails with `BrokerUnavailableError`. Default 10.
   */
  readonly publishTimeout: number;

  /** The queue of what no route names another for (Celery: `task_default_queue`). Default `"celery"`. */
  readonly taskDefaultQueue: string;
  /**
   * The queues that a worker serves when `-Q` does not say (Celery: `task_queues`).
   * Default null: {@linkcode Settings.taskDefaultQueue} alone.
   */
  readonly taskQueues: readonly string[] | null;
  /** Which task goes to which queue (Celery: `task_routes`). Default none. */
  readonly taskRoutes: TaskRoutes | null;
  /** 0 to 9; on Redis, SQLite and memory 0 is served first (Celery: `task_default_priority`). Default null: 0. */
  readonly taskDefaultPriority: number | null;
  /**
   * The type of the queues that are declared on RabbitMQ: `"classic"` or `"quorum"` (Celery: `task_default_queue_type`).
   * Default null: the broker's own choice.
   */
  readonly taskDefaultQueueType: "classic" | "quorum" | null;
  /**
   * The highest priority that queues declared on RabbitMQ keep apart; 10 is enough (Celery: `task_queue_max_priority`).
   * Default null: such queues have no priorities.
   */
  readonly taskQueueMaxPriority: number | null;
  /** How arguments are written: `"json"` or `"msgpack"` (Celery: `task_serializer`). Default `"json"`. */
  readonly taskSerializer: "json" | "msgpack";
  /** How arguments are compressed (Celery: `task_compression`). Default null: not at all. */
  readonly taskCompression: TaskCompression | null;
  /** Serializers that a worker reads (Celery: `accept_content`). Default `["json", "msgpack"]`. */
  readonly acceptContent: readonly ("json" | "msgpack")[];

  /**
   * Runs tasks at once where they are called, instead of publishing them, for tests (Celery: `task_always_eager`);
   * `alwaysEager` for short in `new App()`. Default false.
   */
  readonly taskAlwaysEager: boolean;
  /**
   * With `taskAlwaysEager`: what a task throws is thrown as it is, by the call if the task throws at once, else by its
   * result; otherwise it arrives as a `TaskError`, as from a worker (Celery: `task_eager_propagates`). Default false.
   */
  readonly taskEagerPropagates: boolean;

  /** Acknowledges a message after its run, so that none is lost (Celery: `task_acks_late`). Default true. */
  readonly taskAcksLate: boolean;
  /** Runs a task again whose isolate died (Celery: `task_reject_on_worker_lost`). Default false: it fails. */
  readonly taskRejectOnWorkerLost: boolean;
  /**
   * Does not run a redelivered task again whose result is stored already and final (Celery:
   * `worker_deduplicate_successful_tasks`). Default true.
   */
  readonly taskDedupe: boolean;
  /**
   * Acknowledges messages whose tasks have failed or met their time limit; otherwise they are kept as dead letters. Of those
   * that are acknowledged after the run (Celery: `task_acks_on_failure_or_timeout`). Default true.
   */
  readonly taskAcksOnFailureOrTimeout: boolean;
  /**
   * Seconds a task may run before its isolate is ended and it fails with `TimeLimitExceeded` (Celery: `task_time_limit`).
   * Default null: as long as it likes.
   */
  readonly taskTimeLimit: number | null;
  /**
   * Seconds after which the `ctx.signal` of a running task aborts (Celery: `task_soft_time_limit`). Default null: it does not.
   */
  readonly taskSoftTimeLimit: number | null;
  /** Stores STARTED when a task starts (Celery: `task_track_started`). Default false. */
  readonly taskTrackStarted: boolean;
  /** Stores no results (Celery: `task_ignore_result`). Default false. */
  readonly taskIgnoreResult: boolean;
  /**
   * Stores errors even where results are ignored (Celery: `task_store_errors_even_if_ignored`). Default false.
   */
  readonly taskStoreErrorsEvenIfIgnored: boolean;

  /** Seconds for which a result is kept, 0 for ever (Celery: `result_expires`). Default 86400, one day. */
  readonly resultExpires: number;
  /** Stores name, arguments, worker and queue with each result (Celery: `result_extended`). Default false. */
  readonly resultExtended: boolean;
  /** Whether a result of `undefined` is stored, as null. Default true. */
  readonly storeUndefined: boolean;

  /** Task modules that a worker loads beside those of `-A`: files, folders, globs (Celery: `include`). Default none. */
  readonly include: readonly string[];
  /** Isolates of a worker (Celery: `worker_concurrency`). Default null: one a core. */
  readonly workerConcurrency: number | null;
  /** Tasks at once in one isolate; raise it for tasks that mostly wait. Default 1. */
  readonly workerSlots: number;
  /**
   * Gives tasks no access to files, network, environment, programs and native libraries but what their `permissions` name,
   * on Deno. Default false: tasks without `permissions` may do all that their worker may.
   */
  readonly workerSandbox: boolean;
  /** Runs tasks whose permissions this runtime can't enforce (Bun), without them. Default false: they are refused. */
  readonly workerAllowUnsandboxed: boolean;
  /** Timers in the memory of a worker, at the most; a task that sets one more fails. Default 1,000,000. */
  readonly workerMaxTimers: number;
  /**
   * The file in which a worker keeps what neither its broker nor its result store can: revoked tasks, on RabbitMQ with
   * results over AMQP (Celery: `worker_state_db`). Made when there is something to keep. Null: they are forgotten when
   * the worker ends. Default `"./celeriac-state.db"`.
   */
  readonly workerStateDb: string | null;
  /** Seconds for which a revoked task is remembered whose message does not come. Default 31536000, one year. */
  readonly workerRevokeExpires: number;
  /** How many revoked tasks are remembered, the newest ones. Default 100000. */
  readonly workerRevokesMax: number;
  /**
   * Tasks that an isolate runs before another takes its place (Celery: `worker_max_tasks_per_child`).
   * Default null: any number.
   */
  readonly workerMaxTasksPerIsolate: number | null;
  /**
   * KiB of memory above which another isolate takes its place, once what it runs has ended (Celery:
   * `worker_max_memory_per_child`). Counted is the heap of JavaScript. Default null: any amount.
   */
  readonly workerMaxMemoryPerIsolate: number | null;

  /**
   * Periodic tasks, beside those that task modules export as `schedule` (Celery: `beat_schedule`). Their tasks are given by
   * name. Default none.
   */
  readonly beatSchedule: Schedule;
  /** What becomes of times that passed while no scheduler ran: one run for all of them, or none. Default `"one"`. */
  readonly beatCatchUp: CatchUp;
  /**
   * Seconds after which another scheduler takes over from one that died: as many from when it is first missed, so that it
   * takes up to a third more. Default 10.
   */
  readonly beatLease: number;
  /** Seconds between two looks of a scheduler at its clock, at most (Celery: `beat_max_loop_interval`). Default 0: by itself. */
  readonly beatMaxLoopInterval: number;
  /** The time zone of crontabs that say none (Celery: `timezone`). Default `"UTC"`. */
  readonly timezone: string;
}

/** How a broker holds and hands out messages. */
export interface BrokerTransportOptions {
  /** Seconds after which what a dead worker held goes back to its queue. Default 15. */
  readonly lease: number;
  /**
   * Seconds after which what a Python worker holds counts as lost; give it the value that the Python side has
   * (Celery: `visibility_timeout`). Default 3600.
   */
  readonly visibilityTimeout: number;
  /** How often a message is handed out again after its worker died, before it becomes a dead letter. Default 5. */
  readonly maxDeliveries: number;
  /** Bytes; a larger message becomes a dead letter unread. Default 16777216, 16 MiB. */
  readonly maxMessageBytes: number;
  /**
   * The master that Redis's sentinels watch, for a broker or result store whose URL names sentinels and says no
   * `master_name` itself (Celery: `master_name`). Default null.
   */
  readonly masterName: string | null;
}

/** How a task's arguments may be compressed. */
export type TaskCompression = "zlib" | "gzip" | "zstd" | "brotli";

/** Settings as they are given: any of them, in any number of places. */
export type GivenSettings = Partial<Omit<Settings, "brokerTransportOptions">> & {
  /** See {@linkcode Settings.brokerTransportOptions}. */
  readonly brokerTransportOptions?: Partial<BrokerTransportOptions>;
};

/** What holds where nothing else is said. */
export const defaultSettings: Settings = {
  brokerUrl: "sqlite:./celeriac.db",
  brokerTransportOptions: {
    lease: 15,
    visibilityTimeout: 3600,
    maxDeliveries: 5,
    maxMessageBytes: 16 * 1024 * 1024,
    masterName: null,
  },
  resultBackend: null,
  publishTimeout: 10,
  taskDefaultQueue: "celery",
  taskQueues: null,
  taskRoutes: null,
  taskDefaultPriority: null,
  taskDefaultQueueType: null,
  taskQueueMaxPriority: null,
  taskSerializer: "json",
  taskCompression: null,
  acceptContent: ["json", "msgpack"],
  taskAlwaysEager: false,
  taskEagerPropagates: false,
  taskAcksLate: true,
  taskRejectOnWorkerLost: false,
  taskDedupe: true,
  taskAcksOnFailureOrTimeout: true,
  taskTimeLimit: null,
  taskSoftTimeLimit: null,
  taskTrackStarted: false,
  taskIgnoreResult: false,
  taskStoreErrorsEvenIfIgnored: false,
  resultExpires: 86_400,
  resultExtended: false,
  storeUndefined: true,
  include: [],
  workerConcurrency: null,
  workerSlots: 1,
  workerSandbox: false,
  workerAllowUnsandboxed: false,
  workerMaxTimers: 1_000_000,
  workerStateDb: "./celeriac-state.db",
  workerRevokeExpires: 31_536_000,
  workerRevokesMax: 100_000,
  workerMaxTasksPerIsolate: null,
  workerMaxMemoryPerIsolate: null,
  beatSchedule: {},
  beatCatchUp: "one",
  beatLease: 10,
  beatMaxLoopInterval: 0,
  timezone: "UTC",
};
