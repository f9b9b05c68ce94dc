/**
 * Background tasks for Deno and Bun that speak Celery's wire protocol.
 *
 * @module
 */
export { ChannelFullError, ChannelTakenError, type Direction } from "./runtime/channel/channel.ts";
export { Consumer, type ConsumerOptions } from "./runtime/channel/consumer.ts";
export type { ChannelOptions } from "./runtime/channel/options.ts";
export type { WaitOptions } from "./runtime/channel/outflow.ts";
export { Producer, type ProducerOptions } from "./runtime/channel/producer.ts";
export type { Clock, TimerHandle } from "./runtime/clock.ts";
export { App, type AppOptions } from "./runtime/client/app.ts";
export { AsyncResult, type GetOptions, ResultTimeoutError } from "./runtime/client/async_result.ts";
export type { ApplyOptions, CallLink, CallOptions } from "./runtime/client/call.ts";
export type { Inspect, InspectOptions } from "./runtime/client/inspect.ts";
export type { ModuleClient, TaskCaller } from "./runtime/client/module_client.ts";
export { consume, type ConsumeOptions, produce, type ProduceOptions } from "./runtime/client/plain_queue.ts";
export { defaultApp, setDefaultApp, type Task, task } from "./runtime/client/task.ts";
export { SettingsError } from "./runtime/config/resolve.ts";
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
export { TaskModuleError } from "./runtime/isolate/load_modules.ts";
export type { TaskProgress } from "./runtime/isolate/correspondence.ts";
export {
  currentTask,
  TaskContext,
  type TaskDeliveryInfo,
  type TaskLog,
} from "./runtime/isolate/task_context.ts";
export type {
  BoundFunction,
  MessageLimits,
  TaskDescription,
  TaskFunction,
  TaskOptions,
} from "./runtime/isolate/task_definition.ts";
export {
  Ignore,
  NotRegistered,
  Reject,
  TaskError,
  type TaskErrorOptions,
  TaskRevokedError,
  WorkerLostError,
} from "./runtime/protocol/errors.ts";
export { UnserializableError } from "./runtime/protocol/plain_value.ts";
export type { DecodedResult, ResultExtra, ResultMeta } from "./runtime/protocol/result_meta.ts";
export { uid } from "./runtime/protocol/uid.ts";
export { BrokerUnavailableError, UnreplicatedError } from "./runtime/transport/transport.ts";
export { BadUrlError } from "./runtime/transport/url.ts";
export type { WorkerCounts } from "./runtime/worker/notices.ts";
export { Worker } from "./runtime/worker/worker.ts";
export type { WorkerOptions } from "./runtime/worker/worker_options.ts";
