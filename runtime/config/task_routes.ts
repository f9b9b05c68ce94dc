/** Which task goes where: the setting `taskRoutes`, looked at by the client when it **publishes**. */

/** Where a task goes and with what; what the call itself says wins over it. */
export interface TaskRoute {
  /** The queue's name. */
  readonly queue?: string;
  /** 0 to 9. */
  readonly priority?: number;
  /** `"json"` or `"msgpack"`. */
  readonly serializer?: string;
  /** `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. */
  readonly compression?: string;
  /** Seconds from the call after which the task is no longer started. */
  readonly expires?: number;
}

/** A route, or the name of a queue for short. */
export type RouteTarget = TaskRoute | string;

/** Task names to routes: exact names first, then globs (`*` and `?`, dots included) in their order. */
export type RouteMap = Readonly<Record<string, RouteTarget>>;

/** Decides by the call itself; null or undefined leaves it to the next. */
export type RouteFunction = (
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
) => RouteTarget | null | undefined;

/** One of several routers: a map, a function, or a name, glob or regular expression with its route. */
export type Router = RouteMap | RouteFunction | readonly [pattern: string | RegExp, route: RouteTarget];

/**
 * Routers in the order in which they are asked; the first that answers wins.
 *
 * @example
 * ```ts
 * import type { TaskRoutes } from "../../mod.ts";
 *
 * const routes: TaskRoutes = [
 *   { "mail.send": "mail", "img.*": { queue: "images", priority: 6 } },
 *   [/^report_\d+\./, "reports"],
 *   (name, args) => args.length > 100 ? "large" : null,
 * ];
 * ```
 */
export type TaskRoutes = RouteMap | RouteFunction | readonly Router[];

/** Makes the function that finds a call's route; `null` where no router answers. */
export function compileRoutes(
  routes: TaskRoutes | null,
): (...call: Parameters<RouteFunction>) => TaskRoute | null {
  if (routes === null) return () => null;
  const routers = (Array.isArray(routes) ? routes as readonly Router[] : [routes as RouteMap | RouteFunction])
    .map(compileRouter);
  return (name, args, kwargs) => {
    for (const router of routers) {
      const target = router(name, args, kwargs);
      if (target != null) return typeof target === "string" ? { queue: target } : target;
    }
    return null;
  };
}

function compileRouter(router: Router): RouteFunction {
  if (typeof router === "function") return router;
  if (Array.isArray(router)) {
    const [pattern, route] = router as readonly [string | RegExp, RouteTarget];
    return pattern instanceof RegExp
      ? (name) => matches(pattern, name) ? route : null
      : compileMap({ [pattern]: route });
  }
  return compileMap(router as RouteMap);
}

function compileMap(map: RouteMap): RouteFunction {
  const entries = Object.entries(map);
  const exact = new Map(entries);
  const globs = entries.filter(([name]) => /[*?]/.test(name)).map(([glob, route]) =>
    [globToRegExp(glob), route] as const
  );
  if (globs.length === 0) return (name) => exact.get(name);
  return (name) => exact.get(name) ?? globs.find(([glob]) => glob.test(name))?.[1];
}

// A regular expression with the flag g or y remembers where it stopped.
function matches(pattern: RegExp, name: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(name);
}

function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}
