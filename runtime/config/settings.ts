/**
 * All settings of an app and its workers, with their defaults. Stands before the way of a task: whoever publishes or
 * receives is given one resolved {@linkcode Settings}. The names are Celery's in camelCase where they mean the same.
 */
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
  taskTrackStarted: false,
  taskIgnoreResult: false,
  taskStoreErrorsEvenIfIgnored: false,
  resultExpires: 86_400,
  resultExtended: false,
  storeUndefined: true,
  include: [],
  workerConcurrency: null,
  workerSlots: 1,
};
