/**
 * What a task may reach from its isolate: files, hosts, variables and programs, as Deno spells them. Read when the
 * modules are loaded, before **run**; `thread.ts` starts isolates under them.
 */
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { nearest } from "../config/suggest.ts";

/** One kind of access: none, all, as the worker itself, or what is listed. */
export type PermissionGrant = boolean | "inherit" | readonly (string | URL)[];

/** Kinds of access, each denied where it is not named. */
export interface PermissionSet {
  /** Files and folders that may be read. Paths start at the worker's working folder. */
  readonly read?: PermissionGrant;
  /** Files and folders that may be written. */
  readonly write?: PermissionGrant;
  /** Hosts, with or without a port, as `"api.example.com:443"`. */
  readonly net?: PermissionGrant;
  /** Names of environment variables. */
  readonly env?: PermissionGrant;
  /** Programs that may be started. They are not confined themselves. */
  readonly run?: PermissionGrant;
  /** Native libraries that may be loaded. They are not confined themselves. */
  readonly ffi?: PermissionGrant;
  /** What may be asked of the system, as `"hostname"`. */
  readonly sys?: PermissionGrant;
  /** Hosts that code may be imported from. */
  readonly import?: PermissionGrant;
}

/** What a task may reach: nothing, what its worker may, or what is named. */
export type TaskPermissions = "none" | "inherit" | PermissionSet;

/** Permissions in the one form that two equal demands share: absolute paths, sorted lists, nothing that is denied. */
export type Permissions = "none" | "inherit" | Readonly<Partial<Record<PermissionKind, Grant>>>;
type Grant = true | "inherit" | readonly string[];
type PermissionKind = keyof PermissionSet;

/** What confines an isolate. */
export interface Confinement {
  readonly permissions: Exclude<Permissions, "inherit">;
  /** Files that its modules are made of: loaded as code, whatever the permissions say. */
  readonly sources: readonly string[];
}

const KINDS: readonly PermissionKind[] = ["read", "write", "net", "env", "run", "ffi", "sys", "import"];
const KINDS_OF_PATHS: ReadonlySet<string> = new Set(["read", "write"]);

/**
 * Checks permissions as a task gives them and brings them into their one form.
 *
 * @throws {TypeError} For a kind or a value that there is not; says what there is.
 */
export function permissionsOf(given: unknown, cwd: string = process.cwd()): Permissions {
  if (given === "none" || given === "inherit") return given;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new TypeError(
      `permissions must be "none", "inherit" or an object, as { read: ["data"] }, not ${
        JSON.stringify(given)
      }`,
    );
  }
  const unknown = Object.keys(given).find((kind) => !KINDS.includes(kind as PermissionKind));
  if (unknown !== undefined) {
    const meant = nearest(unknown, KINDS);
    throw new TypeError(
      `there is no permission ${unknown}${meant === undefined ? "" : `; did you mean ${meant}?`} ` +
        `(there are ${KINDS.join(", ")})`,
    );
  }
  const granted: Partial<Record<PermissionKind, Grant>> = {};
  for (const kind of KINDS) {
    const grant = grantOf(kind, (given as PermissionSet)[kind], cwd);
    if (grant !== undefined) granted[kind] = grant;
  }
  return Object.keys(granted).length === 0 ? "none" : granted;
}

function grantOf(kind: PermissionKind, given: unknown, cwd: string): Grant | undefined {
  if (given === undefined || given === false) return undefined;
  if (given === true || given === "inherit") return given;
  if (!Array.isArray(given) || !given.every((entry) => typeof entry === "string" || entry instanceof URL)) {
    throw new TypeError(
      `permissions.${kind} must be true, false, "inherit" or a list of texts, not ${JSON.stringify(given)}`,
    );
  }
  const entries = given.map((entry: string | URL) => {
    const text = String(entry);
    if (!KINDS_OF_PATHS.has(kind)) return text;
    return text.startsWith("file:") ? fileURLToPath(text) : resolve(cwd, text);
  });
  return entries.length === 0 ? undefined : [...new Set(entries)].sort();
}

/**
 * What a confined isolate is told of its worker's broker and store, in the place of their URLs with the passwords in them:
 * nothing that leads anywhere.
 */
export const WITHHELD = { brokerUrl: "withheld:", resultBackend: null } as const;

/** Permissions that can be posted to another thread. */
export function plainPermissions(permissions: TaskPermissions): TaskPermissions {
  if (typeof permissions !== "object" || permissions === null) return permissions;
  return Object.fromEntries(
    Object.entries(permissions).map((
      [kind, grant],
    ) => [kind, Array.isArray(grant) ? grant.map(String) : grant]),
  );
}

/** What the gate of a confined isolate needs: what is demanded, and to read the sources. */
export function withSources({ permissions, sources }: Confinement): Permissions {
  const granted = permissions === "none" ? {} : permissions;
  const read = granted.read ?? [];
  return { ...granted, read: typeof read === "object" ? [...read, ...sources] : read };
}
