/**
 * Background tasks for Deno and Bun that speak Celery's wire protocol.
 *
 * @module
 */
export { App, type AppOptions } from "./runtime/client/app.ts";
export { AsyncResult, type GetOptions, ResultTimeoutError } from "./runtime/client/async_result.ts";
export type { ApplyOptions, CallOptions } from "./runtime/client/call.ts";
export type { ModuleClient, TaskCaller } from "./runtime/client/module_client.ts";
export { defaultApp, setDefaultApp, type Task, task } from "./runtime/client/task.ts";
export {
  currentTask,
  TaskContext,
  type TaskDeliveryInfo,
  type TaskLog,
} from "./runtime/isolate/task_context.ts";
export type { TaskOptions } from "./runtime/isolate/task_definition.ts";
export { uid } from "./runtime/protocol/uid.ts";
