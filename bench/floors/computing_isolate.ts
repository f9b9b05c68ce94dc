/** Computes `count` times what the bench's task computes, then says so. */
import { compute } from "../tasks.ts";

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<{ readonly count: number; readonly rounds: number }>) => void;
  postMessage(value: number): void;
};

scope.onmessage = ({ data: { count, rounds } }) => {
  let value = 0;
  for (let i = 0; i < count; i++) value ^= compute(rounds);
  scope.postMessage(value);
};
