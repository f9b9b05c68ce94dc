/** Where a `sqlite:PATH?synchronous=` URL points, judged before the file is touched. */
import { realpathSync, statfsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BadUrlError } from "../url.ts";

/** A database file as a URL names it. */
export interface DatabaseLocation {
  /** Absolute, its folder without symbolic links: two names of one file are one location. */
  readonly path: string;
  /** `full` (the default): what is accepted is on disk. `normal`: safe against `kill -9`, not against power loss. */
  readonly synchronous: "full" | "normal";
}

/** @throws {BadUrlError} When the URL names no file, or one that an SQLite database of ours cannot be in. */
export function locate(url: string): DatabaseLocation {
  const [, written, query] = /^sqlite:([^?]*)(?:\?(.*))?$/is.exec(url) ?? [];
  if (!written || written.startsWith("//") || written === ":memory:") {
    throw new BadUrlError(
      `${url}: write sqlite:PATH, as in sqlite:./celeriac.db or sqlite:/var/lib/celeriac.db`,
    );
  }
  const options = new URLSearchParams(query ?? "");
  for (const key of options.keys()) {
    if (key !== "synchronous") {
      throw new BadUrlError(`${url}: unknown option "${key}": there is synchronous=full|normal`);
    }
  }
  const synchronous = (options.get("synchronous") ?? "full").toLowerCase();
  if (synchronous !== "full" && synchronous !== "normal") {
    throw new BadUrlError(`${url}: synchronous=${synchronous}: write synchronous=full or synchronous=normal`);
  }
  const absolute = resolve(written);
  let folder: string;
  try {
    folder = realpathSync(dirname(absolute));
  } catch (cause) {
    throw new BadUrlError(`${url}: the folder ${dirname(absolute)} cannot be reached: make it first`, {
      cause,
    });
  }
  const network = networkFileSystem(statfsSync(folder).type);
  if (network !== undefined) {
    throw new BadUrlError(
      `${url}: ${folder} is on ${network}, where processes on several machines would ruin the database: ` +
        `use a local folder, or a Redis broker`,
    );
  }
  return { path: join(folder, basename(absolute)), synchronous };
}

const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x5346414f, "AFS"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x01021997, "9P"],
]);

/** The network file system that a type of statfs(2) stands for, if it is one. Told on Linux only. */
export function networkFileSystem(type: number | bigint): string | undefined {
  return NETWORK_FILE_SYSTEMS.get(Number(BigInt.asUintN(32, BigInt(type))));
}
