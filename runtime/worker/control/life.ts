/** `ping`, `hello`, `clock`, `shutdown`: whether a worker lives, and its end. */
import { any, type Command, command, text, textOrNull } from "./command.ts";

/** Ids as a neighbour sends them: a list, or, from older releases of Celery, an object of ids and times. */
export function idsOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : Object.keys(Object(value ?? {}));
  return list.filter((id) => typeof id === "string");
}

/** By their names in Celery. */
export const lifeCommands: Readonly<Record<string, Command>> = {
  ping: command({}, () => ({ ok: "pong" })),
  clock: command({}, (_worker, _given, { clock }) => ({ clock })),
  /** A worker that starts asks its neighbours what they know, and tells what it knows. */
  hello: command({ from_node: text, revoked: any }, async (worker, { from_node, revoked }, { clock }) => {
    if (from_node === worker.node) return null;
    const known = new Set(worker.revoked);
    const news = idsOf(revoked).filter((id) => !known.has(id));
    if (news.length > 0) await worker.revoke(news);
    return { revoked: worker.revoked, clock };
  }),
  shutdown: command({ msg: textOrNull }, (worker, { msg }, { log }) => {
    log("warning", msg ?? "Told by remote control to shut down: finishing what runs.");
    worker.stop();
    return { ok: "shutting down" };
  }),
};
