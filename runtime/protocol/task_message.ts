/** A task's message, as Celery's protocol 2 has it: how a call is written, and how a received one is read. */
export * from "./task_call.ts";
export * from "./task_request.ts";
