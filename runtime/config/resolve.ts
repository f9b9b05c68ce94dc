/**
 * From settings as they were given, in a file, the environment, flags or code, to one checked {@linkcode Settings}.
 */
import {
  type BrokerTransportOptions,
  defaultSettings,
  type GivenSettings,
  type Settings,
} from "./settings.ts";
import { nearest } from "./suggest.ts";

/** A setting that does not exist or has a value it can't have. */
export class SettingsError extends Error {
  /** Always `"SettingsError"`. */
  override readonly name = "SettingsError";
}

interface Check {
  readonly wanted: string;
  readonly accepts: (value: unknown) => boolean;
}

const text: Check = { wanted: "a text", accepts: (value) => typeof value === "string" && value !== "" };
const flag: Check = { wanted: "true or false", accepts: (value) => typeof value === "boolean" };
const texts: Check = {
  wanted: "a list of texts",
  accepts: (value) => Array.isArray(value) && value.every(text.accepts),
};
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const seconds: Check = {
  wanted: "a number of seconds, 0 or more",
  accepts: (value) => isNumber(value) && value >= 0,
};
const moreThanZeroSeconds: Check = {
  wanted: "a number of seconds above 0",
  accepts: (value) => isNumber(value) && value > 0,
};
const count: Check = {
  wanted: "a whole number, 1 or more",
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
};
const countOrZero: Check = {
  wanted: "a whole number, 0 or more",
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};
const priority: Check = {
  wanted: "a whole number from 0 to 9",
  accepts: (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 9,
};
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isRouteTarget = (value: unknown) => text.accepts(value) || isObject(value);
const isRouter = (value: unknown) =>
  typeof value === "function" || (isObject(value) && Object.values(value).every(isRouteTarget)) ||
  (Array.isArray(value) && value.length === 2 && (text.accepts(value[0]) || value[0] instanceof RegExp) &&
    isRouteTarget(value[1]));
const routes: Check = {
  wanted: 'task names with their queues, as {"img.*": {"queue": "images"}}, a function, or a list of these',
  accepts: (value) => Array.isArray(value) ? value.every(isRouter) : isRouter(value),
};

function oneOf(...values: readonly string[]): Check {
  return {
    wanted: values.map((value) => `"${value}"`).join(" or "),
    accepts: (value) => values.includes(value as string),
  };
}
function orNull(check: Check): Check {
  return { wanted: `${check.wanted}, or null`, accepts: (value) => value === null || check.accepts(value) };
}

function isTimeZone(value: unknown): boolean {
  try {
    return text.accepts(value) && Boolean(new Intl.DateTimeFormat("en", { timeZone: value as string }));
  } catch {
    return false;
  }
}

const transportChecks: { readonly [K in keyof BrokerTransportOptions]: Check } = {
  lease: moreThanZeroSeconds,
  visibilityTimeout: moreThanZeroSeconds,
  maxDeliveries: countOrZero,
  maxMessageBytes: count,
  masterName: orNull(text),
};

const checks: { readonly [K in keyof Settings]: Check } = {
  brokerUrl: text,
  brokerTransportOptions: { wanted: "an object", accepts: isObject },
  resultBackend: orNull(text),
  publishTimeout: seconds,
  taskDefaultQueue: text,
  taskQueues: orNull({
    wanted: texts.wanted,
    accepts: (value) => texts.accepts(value) && (value as []).length > 0,
  }),
  taskRoutes: orNull(routes),
  taskDefaultPriority: orNull(priority),
  taskDefaultQueueType: orNull(oneOf("classic", "quorum")),
  taskQueueMaxPriority: orNull(count),
  taskSerializer: oneOf("json", "msgpack"),
  taskCompression: orNull(oneOf("zlib", "gzip", "zstd", "brotli")),
  acceptContent: {
    wanted: 'a list of "json" and "msgpack"',
    accepts: (value) =>
      texts.accepts(value) && (value as string[]).every((name) => name === "json" || name === "msgpack"),
  },
  taskAlwaysEager: flag,
  taskEagerPropagates: flag,
  taskAcksLate: flag,
  taskRejectOnWorkerLost: flag,
  taskDedupe: flag,
  taskAcksOnFailureOrTimeout: flag,
  taskTimeLimit: orNull(moreThanZeroSeconds),
  taskSoftTimeLimit: orNull(moreThanZeroSeconds),
  taskTrackStarted: flag,
  taskIgnoreResult: flag,
  taskStoreErrorsEvenIfIgnored: flag,
  resultExpires: seconds,
  resultExtended: flag,
  storeUndefined: flag,
  include: texts,
  workerConcurrency: orNull(count),
  workerSlots: count,
  workerSandbox: flag,
  workerAllowUnsandboxed: flag,
  workerMaxTimers: count,
  workerStateDb: orNull(text),
  workerRevokeExpires: moreThanZeroSeconds,
  workerRevokesMax: count,
  workerMaxTasksPerIsolate: orNull(count),
  workerMaxMemoryPerIsolate: orNull(count),
  beatSchedule: { wanted: "an object of entries, each with a task and a schedule", accepts: isObject },
  beatCatchUp: oneOf("one", "none"),
  beatLease: moreThanZeroSeconds,
  beatMaxLoopInterval: seconds,
  timezone: { wanted: "the name of a time zone, as Europe/Berlin", accepts: isTimeZone },
};

/** Other names for settings: those of flags, and of options that look the same. */
const otherNames: ReadonlyMap<string, keyof Settings> = new Map([
  ["broker", "brokerUrl"],
  ["backend", "resultBackend"],
  ["concurrency", "workerConcurrency"],
  ["slots", "workerSlots"],
  ["sandbox", "workerSandbox"],
  ["statedb", "workerStateDb"],
  ["queues", "taskQueues"],
  ["imports", "include"],
  ["alwaysEager", "taskAlwaysEager"],
  ["eagerPropagates", "taskEagerPropagates"],
]);

/** Settings and where they come from, for error messages: a file's path, `the environment`, `the command line`. */
export interface SettingsLayer {
  readonly from: string;
  readonly settings: GivenSettings;
}

/**
 * Checks each layer and puts it over those before it, the defaults undermost.
 *
 * @throws {SettingsError} For a setting that does not exist or has a value it can't have; names both and the layer.
 */
export function resolveSettings(...layers: readonly SettingsLayer[]): Settings {
  let resolved = defaultSettings;
  for (const { from, settings } of layers) {
    checkAll(settings, checks, "", from);
    checkAll(settings.brokerTransportOptions ?? {}, transportChecks, "brokerTransportOptions.", from);
    resolved = {
      ...resolved,
      ...given(settings),
      brokerTransportOptions: {
        ...resolved.brokerTransportOptions,
        ...given(settings.brokerTransportOptions ?? {}),
      },
    };
  }
  return withQueueArguments(withMaster(resolved));
}

/** Writes how queues are declared into the URL of a RabbitMQ, unless it says so itself. */
function withQueueArguments(settings: Settings): Settings {
  const { brokerUrl, taskDefaultQueueType, taskQueueMaxPriority } = settings;
  if (!/^(amqps?|pyamqp):/i.test(brokerUrl)) return settings;
  const given = { queue_type: taskDefaultQueueType, max_priority: taskQueueMaxPriority };
  let url = brokerUrl;
  for (const [name, value] of Object.entries(given)) {
    if (value !== null && !url.includes(`${name}=`)) {
      url += `${url.includes("?") ? "&" : "?"}${name}=${value}`;
    }
  }
  return { ...settings, brokerUrl: url };
}

/** Writes the name of the master that sentinels watch into the URLs that don't say one. */
function withMaster(settings: Settings): Settings {
  const { masterName } = settings.brokerTransportOptions;
  if (masterName === null) return settings;
  const named = (url: string) =>
    /^(rediss?\+)?sentinel:/i.test(url) && !/[?&]master_name=/.test(url)
      ? `${url}${url.includes("?") ? "&" : "?"}master_name=${encodeURIComponent(masterName)}`
      : url;
  const { brokerUrl, resultBackend } = settings;
  return {
    ...settings,
    brokerUrl: named(brokerUrl),
    resultBackend: resultBackend === null ? null : named(resultBackend),
  };
}

function given<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function checkAll(values: object, known: Readonly<Record<string, Check>>, path: string, from: string): void {
  if (!isObject(values)) throw new SettingsError(`${from}: the settings are ${shown(values)}, not an object`);
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(known, key)) {
      throw new SettingsError(`${from}: ${unknownSetting(key, Object.keys(known), path)}`);
    }
    if (value !== undefined && !known[key].accepts(value)) {
      // A URL may hold a password, so what stands in its place is not shown.
      const is = known[key] === text || key === "resultBackend" ? kindOf(value) : shown(value);
      throw new SettingsError(`${from}: ${path}${key} is ${is}, but must be ${known[key].wanted}`);
    }
  }
}

function unknownSetting(key: string, known: readonly string[], path: string): string {
  const camel = key.replace(/^CELERY_/, "").replace(/_+([a-zA-Z])/g, (_, letter: string) => `\0${letter}`)
    .toLowerCase().replace(/\0(.)/g, (_, letter: string) => letter.toUpperCase());
  const meant = known.includes(camel)
    ? camel
    : (path === "" ? otherNames.get(key) : undefined) ?? nearest(key, known);
  return `there is no setting ${path}${key}${meant === undefined ? "" : `; did you mean ${path}${meant}?`}`;
}

function kindOf(value: unknown): string {
  if (value === "") return "empty";
  return Array.isArray(value) ? "a list" : value === null ? "null" : `of type ${typeof value}`;
}

function shown(value: unknown): string {
  if (typeof value === "function") return "a function";
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 60 ? `${json.slice(0, 60)}...` : json;
}
