/** Tasks that run again and again, and their schedule: what `periodic.ts` is about. */
import { crontab, defineSchedule, every } from "../mod.ts";

/** Notes that it was here; the schedule has it come often, so that there is something to see. */
export function tick(what: string): string {
  return `${what} ticks`;
}

/** What a shop would do at night. */
export function report(kind: "short" | "full"): string {
  return `the ${kind} report`;
}

export const schedule = defineSchedule({
  "the clock": { task: tick, args: ["the clock"], schedule: every(0.5), options: { expires: 5 } },
  "the report": {
    task: report,
    args: ["full"],
    schedule: crontab({ hour: 3, minute: 0, dayOfWeek: "mon-fri", timezone: "Europe/Berlin" }),
    catchUp: "none",
  },
});
