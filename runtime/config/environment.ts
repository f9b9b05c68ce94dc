/** The environment, read here and nowhere else. */
import process from "node:process";
import type { GivenSettings } from "./settings.ts";

/** What the environment says. */
export interface Environment {
  /** From `CELERIAC_BROKER_URL` and `CELERIAC_RESULT_BACKEND`; where unset, from `CELERY_...` of the same names. */
  readonly settings: GivenSettings;
  /** `NO_COLOR` is set and not empty. */
  readonly noColor: boolean;
}

/** Reads what matters here of `variables`. An empty variable counts as unset. */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  const brokerUrl = variables.CELERIAC_BROKER_URL || variables.CELERY_BROKER_URL;
  const resultBackend = variables.CELERIAC_RESULT_BACKEND || variables.CELERY_RESULT_BACKEND;
  return {
    settings: { ...(brokerUrl ? { brokerUrl } : {}), ...(resultBackend ? { resultBackend } : {}) },
    noColor: Boolean(variables.NO_COLOR),
  };
}
