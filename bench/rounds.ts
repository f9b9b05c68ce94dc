/** Contestants take turns, A B C A B C, so that what else the machine does in a minute is shared by all of them. */

/**
 * Runs each of `turns` once a round, and gathers what each gave, a list for each of them. After `seconds` no round
 * begins any more: a busy machine gets fewer rounds, not a longer run. Two there are at least, if so many are asked for.
 */
export async function takeTurns<T>(
  rounds: number,
  seconds: number,
  turns: readonly (() => Promise<T>)[],
): Promise<T[][]> {
  const gathered: T[][] = turns.map(() => []);
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < rounds && (round < 2 || performance.now() < end); round++) {
    for (let i = 0; i < turns.length; i++) gathered[i].push(await turns[i]());
  }
  return gathered;
}
