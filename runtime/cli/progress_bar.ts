/** How far a task has come, as a person sees it: a bar that stays in its line, or lines where there is no terminal. */
import type { TaskProgress } from "../isolate/correspondence.ts";

/** Where it is drawn. */
export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Characters of the bar itself. */
const LONGEST = 40;

export class ProgressBar {
  readonly #screen: Screen;
  #shown = "";

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Draws it. */
  show(progress: TaskProgress): void {
    const line = this.#line(progress);
    if (line === this.#shown) return;
    this.#shown = line;
    this.#screen.write(this.#screen.isTTY ? `\r${line}\x1b[K` : `${line}\n`);
  }

  /** Makes place for other output; the bar comes back with {@linkcode ProgressBar.draw}. */
  clear(): void {
    if (this.#screen.isTTY && this.#shown !== "") this.#screen.write("\r\x1b[K");
  }

  draw(): void {
    if (this.#screen.isTTY && this.#shown !== "") this.#screen.write(`\r${this.#shown}\x1b[K`);
  }

  #line({ current, total }: TaskProgress): string {
    if (typeof current !== "number") return "";
    if (typeof total !== "number" || !(total > 0)) return String(current);
    const share = Math.min(1, Math.max(0, current / total));
    const numbers = `${current}/${total} ${Math.floor(share * 100)} %`;
    const length = Math.min(LONGEST, (this.#screen.columns ?? 80) - numbers.length - 5);
    if (!this.#screen.isTTY || length < 5) return numbers;
    const done = Math.round(share * length);
    return `[${"#".repeat(done)}${"-".repeat(length - done)}] ${numbers}`;
  }
}
