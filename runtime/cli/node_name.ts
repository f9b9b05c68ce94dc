/** What a worker calls itself: Celery's node names. */
import { CommandError, ExitCode } from "./exit_codes.ts";

/**
 * The node name that a flag gives: `%h` is the whole host name, `%n` its first part, `%d` the rest, `%%` a percent sign. A
 * text without `@` is taken for a host, as Celery does: `w1` is `celery@w1`.
 */
export function nodeName(format: string, host: string, flag: string = "-n"): string {
  const dot = host.indexOf(".");
  const parts: Readonly<Record<string, string>> = {
    h: host,
    n: dot < 0 ? host : host.slice(0, dot),
    d: dot < 0 ? "" : host.slice(dot + 1),
    "%": "%",
  };
  const name = format.replace(/%(.?)/g, (whole, letter: string) => {
    if (Object.hasOwn(parts, letter)) return parts[letter];
    throw new CommandError(`${flag} ${format}: there is no ${whole}, only %h, %n, %d and %%`, ExitCode.USAGE);
  });
  const node = name.includes("@") ? name : `celery@${name}`;
  if (!/^[^@\s]+@[^@\s]+$/.test(node)) {
    throw new CommandError(
      `${flag} ${format} gives "${node}", which is no node name: write NAME@HOST`,
      ExitCode.USAGE,
    );
  }
  return node;
}
