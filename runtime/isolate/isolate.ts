/**
 * The contract of an isolate: a place apart that has loaded the task modules and runs jobs. Its messages are what
 * **dispatch** sends and **settle** gets back. `web_worker.ts` implements it; `inside.ts` is the code in it.
 */
import type { RelayAnswer, RelayRequest } from "../channel/relay.ts";
import type { GivenSettings, Settings } from "../config/settings.ts";
import type { HubAnswer, HubLink, HubPlace } from "../hub/port.ts";
import type { Following } from "../protocol/chord.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import type { ModuleFile } from "./load_modules.ts";
import type { Confinement } from "./permissions.ts";
import type { RecallAnswer, RecallRequest } from "./recollection.ts";
import type { TaskDescription } from "./task_definition.ts";
import type { LimitsOfTask } from "./time_limits.ts";

/** What an isolate is started with. */
export interface IsolateSettings {
  readonly modules: readonly ModuleFile[];
  /** Tasks at once. */
  readonly slots: number;
  /** The worker's node name. */
  readonly hostname: string;
  /** Name, process id: what STARTED results tell (Celery: `{pid, hostname}`). */
  readonly pid: number;
  readonly defaults: TaskDefaults;
  /** The settings of apps that task code makes here, and of those it does not. */
  readonly client: GivenSettings;
  /** Whether each task's success is told as a log line. */
  readonly logSuccess: boolean;
  /** What keeps it from what the worker itself may reach; undefined where nothing does. */
  readonly confinement?: Confinement;
  /** Names of the tasks that it runs, of all that its modules have; undefined for all of them. */
  readonly serves?: readonly string[];
  /** After how much another takes its place; where memory counts it measures its own, for its board. */
  readonly lifetime: Lifetime;
  /** It tells the schedules that its modules export, too. */
  readonly schedules?: true;
  /** Its place at the timer hub, no other isolate's; without one its tasks can set no timers. */
  readonly hub?: HubPlace;
}

/** How much an isolate does before another takes its place. */
export interface Lifetime {
  /** Tasks that it runs; null for any number. */
  readonly tasks: number | null;
  /** KiB that it may use between two tasks; null for any amount. */
  readonly memory: number | null;
}

/** The settings that hold for tasks which do not say otherwise. */
export interface TaskDefaults {
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly storeUndefined: boolean;
  readonly trackStarted: boolean;
  readonly acksLate: boolean;
  readonly acksOnFailureOrTimeout: boolean;
  /** Seconds; 0 is no limit. */
  readonly timeLimit: number;
  /** Seconds; 0 is no limit. */
  readonly softTimeLimit: number;
  /** A redelivered task whose result is final is not run again. */
  readonly dedupe: boolean;
  /** Seconds. */
  readonly resultExpires: number;
  readonly resultExtended: boolean;
  /** Serializers that a message may use, as Celery's `accept_content`. */
  readonly acceptContent: readonly string[];
  /** Bytes, after decompression. */
  readonly maxBodyBytes: number;
}

/** The defaults that these settings give. */
export function taskDefaults(settings: Settings): TaskDefaults {
  return {
    ignoreResult: settings.taskIgnoreResult,
    storeErrorsEvenIfIgnored: settings.taskStoreErrorsEvenIfIgnored,
    storeUndefined: settings.storeUndefined,
    trackStarted: settings.taskTrackStarted,
    acksLate: settings.taskAcksLate,
    acksOnFailureOrTimeout: settings.taskAcksOnFailureOrTimeout,
    timeLimit: settings.taskTimeLimit ?? 0,
    softTimeLimit: settings.taskSoftTimeLimit ?? 0,
    dedupe: settings.taskDedupe,
    resultExpires: settings.resultExpires,
    resultExtended: settings.resultExtended,
    acceptContent: settings.acceptContent,
    maxBodyBytes: settings.brokerTransportOptions.maxMessageBytes,
  };
}

/**
 * What became of a job. `finished` jobs come as flat arrays, {@linkcode REPORT_STRIDE} entries each, because arrays
 * of numbers and text cross threads several times faster than objects:
 *
 * | entry | what |
 * | --- | --- |
 * | 0 | the job's number |
 * | 1 | one of {@linkcode Report} |
 * | 2 | the task's id, "" where it is unknown |
 * | 3 | the result's text; "" stores nothing |
 * | 4 | seconds to keep the result; for `DELAYED` when it is due (ms since 1970); for `DEAD` the reason |
 */
export const REPORT_STRIDE = 5;

/** What became of a job: entry 1 of its report. */
export const Report = {
  /** It returned. */
  SUCCESS: 0,
  /** It threw. */
  FAILURE: 1,
  /** Its time had passed before it started. */
  EXPIRED: 2,
  /** Its time has not come yet. */
  DELAYED: 3,
  /** It can't be run and is kept as a dead letter. */
  DEAD: 4,
  /** It gave up its message to be run again. */
  REQUEUE: 5,
  /** It is tried again later, by a message that follows. */
  RETRY: 6,
  /** A workflow takes its place, by messages that follow: its result will be that one's. */
  REPLACED: 7,
} as const;

/**
 * What is to be done before jobs are settled, ahead of the reports of these jobs: job, what follows it, job, and so on. Only
 * a job that something follows has an entry.
 */
export type FollowReport = readonly (Job | Following)[];

/**
 * A state stored while a task runs: id, state, text, seconds to keep it, where the caller waits for it; and of a task that will
 * not run because one before it in its chain has failed, the id of that one, which is in the isolate.
 */
export type StateReport = readonly [
  id: string,
  state: string,
  text: string,
  ttl: number,
  replyTo: string | undefined,
  before?: string,
];

/** One log line from inside, with the task it belongs to ("" for none). */
export interface LogReport {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly text: string;
  readonly task: string;
  readonly id: string;
  /** A line of the task's own (`console.log`), not one about it. */
  readonly own: boolean;
}

/**
 * How an isolate came to its end: by an error outside a task or an exit (`ended`), by the end of the whole process that it
 * was alone in (`crashed`), because its tasks took more memory than they may, or by what a task did after its end (`left
 * behind`): then what runs there is innocent.
 */
export type Death = "ended" | "crashed" | "out of memory" | "left behind";

/** So many looks, one a second, at an isolate that answers none of them while none of its tasks runs: it is replaced. */
export const UNANSWERED_LOOKS = 10;
/** What is said of it. */
export const HELD_UP =
  "it gave no sign of life for 10 s while no task ran in it: code that a task has left behind computes " +
  "without a pause";

/** Hears what an isolate has to say. */
export interface IsolateListener {
  /** `busy` is how many ms the reported jobs ran, all together. Without reports it answers {@linkcode Isolate.ask}. */
  finished(reports: readonly (number | string)[], busy: number): void;
  /** Kept until the jobs are reported, and forgotten when they never are. */
  follow(follow: FollowReport): void;
  state(report: StateReport): void;
  log(line: LogReport): void;
  /** Opens the line on which its tasks send, read and ask, when one first does; it closes that when it ends. */
  relay(answer: (answer: RelayAnswer | RecallAnswer) => void): IsolateLine;
  /** Opens the hub's end for its timers, when a task first sets or cancels one; it closes that when it ends. */
  hub?(answer: (answer: HubAnswer) => void): HubLink;
  /** It has ended by itself; nothing more comes from it. `how` is not told where it `"ended"`. */
  died(reason: string, how?: Death): void;
}

/** The owner's end of the line on which the tasks of an isolate send, read and ask. */
export interface IsolateLine {
  hear(request: RelayRequest | RecallRequest): void;
  /** The isolate is gone. */
  close(): void;
}

/** One isolate, from its start to its end. */
export interface Isolate {
  readonly board: ClaimBoard;
  /** Whether a task that computes without a pause may go on after {@linkcode Isolate.terminate}, where nothing hears of it. */
  readonly mayLinger?: boolean;
  /** Loads the modules. @throws {TaskModuleError} when one can't be used. */
  start(): Promise<readonly TaskDescription[]>;
  /** Hands jobs over: job, envelope text, job, envelope text, and so on. Each is already offered on the board. */
  run(jobs: readonly (number | string)[]): void;
  /** Asks for a report, be it an empty one: it comes once nothing holds the isolate up. */
  ask(): void;
  /** Sets the time limits of a task for the runs that start from here on. */
  setLimits(limits: LimitsOfTask): void;
  /** Ends it at once, whatever runs in it. */
  terminate(): void;
}
