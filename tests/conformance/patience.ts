/** How tests wait for what other processes and real servers do: for the event, bounded, never for a time. */

/** What `promise` gives, or a failure that names `what` when it has not come after `ms` milliseconds. */
export async function within<T>(ms: number, promise: PromiseLike<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `check` until it passes, and gives what it gave; after `ms` milliseconds its last failure is the test's. */
export async function eventually<T>(check: () => T | Promise<T>, ms: number = 10_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
  }
}
