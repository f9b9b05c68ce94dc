/** The contract of a timetable: at which times an entry is due. `crontab_timetable.ts` and `interval.ts` implement it. */

/** Times are milliseconds since 1970. */
export interface Timetable {
  /** For people; two timetables are the same where it is. */
  readonly text: string;
  /** By whose clock on the wall; undefined where no clock matters. */
  readonly timezone?: string;
  /** What counts as the last time of an entry that is seen for the first time `now`: nothing before is made up for. */
  first(now: number): number;
  /** The next time after `last`; Infinity when there is none. */
  next(last: number): number;
  /** The latest time after `last` that is not after `now`. */
  latest(last: number, now: number): number | undefined;
  /** How far `last` may be ahead of the clock before that must have been set back, and everything begins anew. */
  readonly ahead: number;
}
