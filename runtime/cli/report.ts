/** `celeriac report`: what a bug report needs to say of versions and settings, secrets masked. */
import { arch, availableParallelism, platform, release } from "node:os";
import { Command } from "commander";
import type { SettingsLayer } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";
import { runtimeName, runtimeVersion } from "../platform.ts";
import { maskUrl } from "../transport/url.ts";
import { version } from "../version.ts";
import { edition } from "./edition.ts";
import { withExamples } from "./examples.ts";
import { open } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly json?: true;
}

/** Makes the command. */
export function reportCommand(): Command {
  const command = new Command("report")
    .summary("show versions and settings for a bug report")
    .description("Shows versions and settings, and where each setting comes from. Passwords are masked.")
    .option("-j, --json", "as JSON")
    .action(report);
  return withExamples(command, [
    ["celeriac report", "of the settings found from here"],
    ["celeriac report --config production.json --json", "of other settings, as JSON"],
  ]);
}

async function report(_flags: unknown, command: Command): Promise<void> {
  const { flags, settings, layers } = await open<Flags>(command);
  const software = {
    celeriac: `${version}, ${edition()}`,
    [runtimeName]: runtimeVersion,
    system: `${platform()} ${release()} ${arch()}`,
    cores: availableParallelism(),
  };
  const names = Object.keys(settings).sort() as (keyof Settings)[];
  const shown = names.map((name) => ({ name, value: visible(settings[name]), from: origin(name, layers) }));
  if (flags.json) return printJson({ software, settings: shown });
  console.log(Object.entries(software).map(([name, value]) => `${name}: ${value}`).join("\n") + "\n");
  console.log(
    table(
      ["SETTING", "VALUE", "FROM"],
      shown.map(({ name, value, from }) => [name, JSON.stringify(value), from]),
    ),
  );
}

/** The strongest layer that speaks of a setting. */
function origin(name: keyof Settings, layers: readonly SettingsLayer[]): string {
  const layer = layers.findLast(({ settings }) => settings[name] !== undefined);
  return layer?.from ?? "default";
}

/** A value as JSON can hold it, without secrets. */
function visible(value: unknown): unknown {
  if (typeof value === "string") return maskUrl(value);
  if (typeof value === "function") return "(a function)";
  if (value instanceof RegExp) return String(value);
  if (Array.isArray(value)) return value.map(visible);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visible(item)]));
}
