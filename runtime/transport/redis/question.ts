/** One question to a server that tasks do not go through: a sentinel, or a node of a cluster that is asked for the others. */
import { Redis, type RedisOptions } from "ioredis";
import type { ServerAddress } from "./finder.ts";

/** Milliseconds for an answer. */
const PATIENCE = 1_000;

/** How to get in. */
export type ServerLogin = Pick<RedisOptions, "username" | "password" | "tls">;

/** A connection to such a server, which begins at once. */
export function openServer(
  { host, port }: ServerAddress,
  login: ServerLogin,
  options: RedisOptions,
): Redis {
  const server = new Redis({
    ...login,
    host,
    port,
    connectionName: "celeriac",
    protocol: 2,
    connectTimeout: PATIENCE,
    enableReadyCheck: false,
    maxRetriesPerRequest: null,
    ...options,
  });
  // Whoever waits for an answer is told; who listens goes on trying.
  server.on("error", () => {});
  return server;
}

/** What a server answers to one command. @throws What went wrong, after a second at the latest. */
export async function askServer(
  address: ServerAddress,
  login: ServerLogin,
  command: string,
  ...args: string[]
): Promise<unknown> {
  const server = openServer(address, login, { commandTimeout: PATIENCE, retryStrategy: () => null });
  let why: Error | undefined;
  server.on("error", (error: Error) => why ??= error);
  try {
    return await server.call(command, ...args);
  } catch (error) {
    // Of a connection that can't be made the command says no more than that.
    throw why ?? error;
  } finally {
    server.disconnect();
  }
}
