/** What a worker says of itself when it starts, as Celery's does. */
import type { Settings } from "../config/settings.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { runtimeName, runtimeVersion } from "../platform.ts";
import { maskUrl } from "../transport/url.ts";
import { version } from "../version.ts";

/** What the banner shows. */
export interface BannerFacts {
  readonly hostname: string;
  readonly settings: Settings;
  /** Nobody named a broker: it is the default file. */
  readonly defaultBroker: boolean;
  readonly concurrency: number;
  readonly slots: number;
  readonly queues: readonly string[];
  readonly tasks: readonly TaskDescription[];
}

const SHOWN_TASKS = 40;

/** The banner's lines. */
export function banner(facts: BannerFacts): string {
  const { hostname, settings, defaultBroker, concurrency, slots, queues, tasks } = facts;
  const names = tasks.map(({ name }) => name).sort();
  const more = names.length - SHOWN_TASKS;
  const rows: [string, string][] = [
    ["broker", maskUrl(settings.brokerUrl) + (defaultBroker ? "  (the default; -b names another)" : "")],
    ["results", settings.resultBackend === null ? "with the broker" : maskUrl(settings.resultBackend)],
    ["isolates", `${concurrency} × ${slots} ${slots === 1 ? "task" : "tasks"} at once`],
    ["queues", queues.join(", ")],
    ["tasks", names[0] ?? ""],
    ...names.slice(1, SHOWN_TASKS).map((name): [string, string] => ["", name]),
    ...(more > 0 ? [["", `and ${more} more (celeriac tasks lists them)`] as [string, string]] : []),
  ];
  const title = ` ${hostname}  celeriac ${version}, ${runtimeName} ${runtimeVersion}`;
  return `\n${title}\n\n${rows.map(([name, value]) => `   ${name.padEnd(9)} ${value}`).join("\n")}\n\n`;
}
