/** Contestants take turns, A B C A B C, so that what else the machine does in a minute is shared by all of them. */

/** Runs each of `turns` once a round, and gathers what each gave, a list for each of them. */
export async function takeTurns<T>(rounds: number, turns: readonly (() => Promise<T>)[]): Promise<T[][]> {
  const gathered: T[][] = turns.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < turns.length; i++) gathered[i].push(await turns[i]());
  }
  return gathered;
}
