/**
 * Background tasks for Deno and Bun that speak Celery's wire protocol.
 *
 * @module
 */
export { Beat, type BeatEntry, type BeatOptions } from "./runtime/beat/beat.ts";
export { crontab, type CrontabField, type CrontabOptions } from "./runtime/beat/crontab.ts";
export { defineSchedule } from "./runtime/beat/define_schedule.ts";
export { ScheduleError } from "./runtime/beat/entries.ts";
export { every } from "./runtime/beat/interval.ts";
export { ChannelFullError, ChannelTakenError, type Direction } from "./runtime/channel/channel.ts";
export { Consumer, type ConsumerOptions } from "./runtime/channel/consumer.ts";
export type { ChannelOptions } from "./runtime/channel/options.ts";
export type { WaitOptions } from "./runtime/channel/outflow.ts";
export { Producer, type ProducerOptions } from "./runtime/channel/producer.ts";
export type { Clock, TimerHandle } from "./runtime/clock.ts";
export { App, type AppOptions } from "./runtime/client/app.ts";
export { AsyncResult } from "./runtime/client/async_result.ts";
export type { ApplyOptions, CallLink, CallOptions, Linked } from "./runtime/client/call.ts";
export {
  chain,
  type ChainOf,
  type CheckedSteps,
  chord,
  chunks,
  type GivenBy,
  type GivenByHeader,
  type GivesOf,
  group,
  type HeaderParts,
  type LastOf,
  map,
  type SentOf,
  signatureFromJson,
  starmap,
  type Step,
  type StepsAfter,
  type TakenBy,
  type TakesOf,
} from "./runtime/client/canvas.ts";
export type { Control, ControlOptions, ControlReplies, RevokeOptions } from "./runtime/client/control.ts";
export type { DeadLetterOptions, DeadLetters } from "./runtime/client/dead_letters.ts";
export { type GetOptions, ResultTimeoutError } from "./runtime/client/get_options.ts";
export { GroupResult } from "./runtime/client/group_result.ts";
export type { Inspect, InspectOptions } from "./runtime/client/inspect.ts";
export type { ModuleClient, TaskCaller } from "./runtime/client/module_client.ts";
export { type GroupSource, type PartResult, ResultSet, type ResultsOf } from "./runtime/client/result_set.ts";
export type { GraphOptions } from "./runtime/client/result_tree.ts";
export type { ResultTuple } from "./runtime/client/result_tuple.ts";
export {
  type CollectOptions,
  type DependentsOptions,
  IncompleteStream,
} from "./runtime/client/result_walk.ts";
export type { GroupTexts, SavedGroups } from "./runtime/client/saved_groups.ts";
export { consume, type ConsumeOptions, produce, type ProduceOptions } from "./runtime/client/plain_queue.ts";
export {
  type AnySignature,
  type Heads,
  type HeadsAfter,
  Signature,
  type SignatureCall,
  type SignatureOptions,
  type SignatureSender,
  type Tails,
} from "./runtime/client/signature.ts";
export type { StampingVisitor, VisitorStamps } from "./runtime/client/stamping_visitor.ts";
export { defaultApp, setDefaultApp, type Task, task } from "./runtime/client/task.ts";
export type { Timers, TimersOptions } from "./runtime/client/timers.ts";
export { SettingsError } from "./runtime/config/resolve.ts";
export type {
  CatchUp,
  Crontab,
  Duration,
  Interval,
  Schedule,
  ScheduledTask,
  ScheduleEntry,
  ScheduleOptions,
} from "./runtime/config/schedule.ts";
export type {
  BrokerTransportOptions,
  GivenSettings,
  Settings,
  TaskCompression,
} from "./runtime/config/settings.ts";
export type {
  RouteFunction,
  RouteMap,
  Router,
  RouteTarget,
  TaskRoute,
  TaskRoutes,
} from "./runtime/config/task_routes.ts";
export type { ErrorKind } from "./runtime/isolate/error_kind.ts";
export type { ListedTimer, TimersOfWorker } from "./runtime/hub/far_hubs.ts";
export { type CancelAnswer, TimerLimitError } from "./runtime/hub/port.ts";
export type { TimerCallOptions } from "./runtime/hub/timer_call.ts";
export { TaskModuleError } from "./runtime/isolate/load_modules.ts";
export type { PermissionGrant, PermissionSet, TaskPermissions } from "./runtime/isolate/permissions.ts";
export type { RetryOptions, RetryPolicy } from "./runtime/isolate/retry.ts";
export type { ErrorInfo, TaskHooks } from "./runtime/isolate/task_hooks.ts";
export type { TaskProgress } from "./runtime/isolate/correspondence.ts";
export { currentTask, TaskContext, type TaskDeliveryInfo } from "./runtime/isolate/task_context.ts";
export type { CompleteSignature, TaskLog, TaskTimers } from "./runtime/isolate/task_host.ts";
export type {
  BoundFunction,
  MessageLimits,
  TaskDescription,
  TaskFunction,
  TaskOptions,
} from "./runtime/isolate/task_definition.ts";
export type { Timer, TimerCallback, TimerOptions } from "./runtime/isolate/timers.ts";
export {
  ChordError,
  Ignore,
  MaxRetriesExceededError,
  MemoryLimitExceeded,
  NotRegistered,
  Reject,
  type RejectOptions,
  Retry,
  SoftTimeLimitExceeded,
  TaskError,
  type TaskErrorOptions,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from "./runtime/protocol/errors.ts";
export type { SignatureJson } from "./runtime/protocol/signature.ts";
export { UnserializableError } from "./runtime/protocol/plain_value.ts";
export type { DecodedResult, ResultExtra, ResultMeta } from "./runtime/protocol/result_meta.ts";
export { uid } from "./runtime/protocol/uid.ts";
export { BrokerUnavailableError, type DeadLetter, UnreplicatedError } from "./runtime/transport/transport.ts";
export { BadUrlError } from "./runtime/transport/url.ts";
export { WorkflowError } from "./runtime/workflow/plan.ts";
export type { WorkerCounts } from "./runtime/worker/notices.ts";
export { Worker } from "./runtime/worker/worker.ts";
export type { WorkerOptions } from "./runtime/worker/worker_options.ts";
