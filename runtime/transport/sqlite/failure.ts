/** What SQLite's errors mean for those who wait at either end of a task's way. */
import { BrokerUnavailableError } from "../transport.ts";
import { BadUrlError } from "../url.ts";

/** Whether another connection holds the lock that was asked for. */
export function isLocked(error: unknown): boolean {
  return /database (table |schema )?is locked/.test(messageOf(error));
}

/** What stands in the way at this place, with the remedy; any other error is given back as it is. */
export function explain(error: unknown, path: string): unknown {
  const message = messageOf(error);
  const cause = error;
  if (/disk is full/.test(message)) {
    return new BrokerUnavailableError(`${path}: the disk is full: make room; nothing was changed`, { cause });
  }
  if (/file is not a database/.test(message)) {
    return new BadUrlError(`${path} is not an SQLite database: name another file`, { cause });
  }
  if (/unable to open database/.test(message)) {
    return new BadUrlError(`${path} cannot be opened: check that it is a file that you may read and write`, {
      cause,
    });
  }
  if (/readonly database/.test(message)) {
    return new BadUrlError(`${path} cannot be written: check the rights of the file and of its folder`, {
      cause,
    });
  }
  if (/disk image is malformed/.test(message)) {
    return new BrokerUnavailableError(
      `${path} is damaged: stop its workers and run "sqlite3 ${path} .recover", or name another file`,
      { cause },
    );
  }
  if (/disk I\/O error/.test(message)) {
    return new BrokerUnavailableError(`${path}: the disk reports an error: ${message}`, { cause });
  }
  if (isLocked(error)) {
    return new BrokerUnavailableError(`${path} is locked by another process`, { cause });
  }
  return error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
