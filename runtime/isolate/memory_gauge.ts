/** How much memory an isolate uses, looked at between runs where `maxMemoryPerIsolate` asks for it. */
import { isolateMemory } from "../platform.ts";
import type { ClaimBoard } from "./claim_board.ts";

/** It takes some 20 us to find out. */
const LOOK_EVERY_MS = 100;

/** Writes it on the claim board, where the main thread sees it. */
export class MemoryGauge {
  readonly #board: ClaimBoard;
  #looked = -Infinity;

  constructor(board: ClaimBoard) {
    this.#board = board;
  }

  /** Looks unless it has lately, at `now` (`performance.now()`). */
  look(now: number): void {
    if (now - this.#looked < LOOK_EVERY_MS) return;
    this.#looked = now;
    this.#board.measureHeap(Math.ceil(isolateMemory() / 1024));
  }
}
