/**
 * The contract of an isolate: a place apart that has loaded the task modules and runs jobs. Its messages are what
 * **dispatch** sends and **settle** gets back. `web_worker.ts` implements it; `inside.ts` is the code in it.
 */
import type { RelayAnswer, RelayEnd } from "../channel/relay.ts";
import type { GivenSettings, Settings } from "../config/settings.ts";
import type { ClaimBoard } from "./claim_board.ts";
import type { ModuleFile } from "./load_modules.ts";
import type { TaskDescription } from "./task_definition.ts";

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
}

/** The settings that hold for tasks which do not say otherwise. */
export interface TaskDefaults {
  readonly ignoreResult: boolean;
  readonly storeErrorsEvenIfIgnored: boolean;
  readonly storeUndefined: boolean;
  readonly trackStarted: boolean;
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
} as const;

/** A state stored while a task runs: id, state, text, seconds to keep it, where the caller waits for it. */
export type StateReport = readonly [
  id: string,
  state: string,
  text: string,
  ttl: number,
  replyTo: string | undefined,
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

/** Hears what an isolate has to say. */
export interface IsolateListener {
  /** `busy` is how many ms the reported jobs ran, all together. Without reports it answers {@linkcode Isolate.ask}. */
  finished(reports: readonly (number | string)[], busy: number): void;
  state(report: StateReport): void;
  log(line: LogReport): void;
  /** Opens the relay for messages of its tasks, when one first sends or reads; it closes that when it ends. */
  relay(answer: (answer: RelayAnswer) => void): RelayEnd;
  /** It has ended by itself: an error outside a task, or an exit. Nothing more comes from it. */
  died(reason: string): void;
}

/** One isolate, from its start to its end. */
export interface Isolate {
  readonly board: ClaimBoard;
  /** Loads the modules. @throws {TaskModuleError} when one can't be used. */
  start(): Promise<readonly TaskDescription[]>;
  /** Hands jobs over: job, envelope text, job, envelope text, and so on. Each is already offered on the board. */
  run(jobs: readonly (number | string)[]): void;
  /** Asks for a report, be it an empty one: it comes once nothing holds the isolate up. */
  ask(): void;
  /** Ends it at once, whatever runs in it. */
  terminate(): void;
}
