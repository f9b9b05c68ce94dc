/**
 * A workflow as text (Celery: `AsyncResult.graph`): what was called, what has called it, and how each of them stands. A look
 * from outside, any time after **publish**.
 */
import { stringifyPythonJson } from "../protocol/python_json.ts";
import type { AsyncResult } from "./async_result.ts";
import type { GroupResult } from "./group_result.ts";
import type { PartResult } from "./result_set.ts";

/** How a tree is drawn. */
export interface GraphOptions {
  /** How many results it shows at most; what is left out is counted. Default 1000. */
  readonly limit?: number;
}

/** Characters of a value that are shown. */
const LONGEST_VALUE = 60;

/** One line of the tree. */
interface Node {
  readonly result: PartResult;
  /** Follows a group as a whole. */
  readonly then: boolean;
  label: string;
  readonly below: Node[];
  /** How many below it are left out. */
  omitted: number;
}

/** Draws all that is known to belong to a result: from the first step that led to it down to what has followed. */
export async function drawTree(result: PartResult, { limit = 1000 }: GraphOptions = {}): Promise<string> {
  if (!Number.isInteger(limit) || limit < 1) {
    throw new RangeError(`a tree of ${limit} results can't be drawn`);
  }
  const root = await new Explorer(limit).explore(result);
  const lines = [root.label];
  drawBelow(root, "", lines);
  return lines.join("\n");
}

/** Goes through a workflow level by level, so that where it ends early it has seen the upper ones. */
class Explorer {
  readonly #seen = new Set<string>();
  /** Steps that are known to come after others. */
  readonly #after = new Map<string, PartResult[]>();
  #left: number;

  constructor(limit: number) {
    this.#left = limit - 1;
  }

  async explore(result: PartResult): Promise<Node> {
    const root = nodeOf(this.#first(result), false);
    this.#seen.add(root.result.id);
    for (let level = [root]; level.length > 0;) {
      const found = await Promise.all(level.map((node) => look(node)));
      level = level.flatMap((node, i) => this.#below(node, found[i]));
    }
    return root;
  }

  /** The first of the steps that lead to a result and are not in the tree yet. It remembers what comes after them. */
  #first(result: PartResult): PartResult {
    let first = result;
    for (let { parent } = first; parent !== undefined && !this.#seen.has(parent.id); { parent } = first) {
      const after = this.#after.get(parent.id) ?? [];
      this.#after.set(parent.id, [...after, first]);
      first = parent;
    }
    return first;
  }

  #below(node: Node, children: readonly PartResult[]): Node[] {
    const { result } = node;
    const add = (child: PartResult, then: boolean) => {
      if (this.#seen.has(child.id)) return;
      if (this.#left === 0) return void node.omitted++;
      this.#left--;
      this.#seen.add(child.id);
      node.below.push(nodeOf(child, then));
    };
    const after = this.#after.get(result.id) ?? [];
    // Of what is known here the names are, too.
    if (!isGroup(result)) { for (const next of after) add(next, false); }
    for (const child of children) add(this.#first(child), false);
    if (isGroup(result)) { for (const next of after) add(next, true); }
    return node.below;
  }
}

function nodeOf(result: PartResult, then: boolean): Node {
  return { result, then, label: "", below: [], omitted: 0 };
}

/** How a result stands now, and what it has called. */
async function look(node: Node): Promise<readonly PartResult[]> {
  const { result, then } = node;
  const before = then ? "then " : "";
  if (isGroup(result)) {
    node.label = `${before}group[${result.id}] of ${result.length}`;
    return result.results;
  }
  const meta = await result.meta();
  const name = result.taskName ?? meta?.name;
  const state = meta?.status ?? "PENDING";
  const shown = name ? `${name}[${result.id}]` : result.id;
  node.label = `${before}${shown} ${state}${meta === null ? "" : valueText(state, meta.result)}`;
  return meta === null ? [] : await result.children;
}

function valueText(state: string, value: unknown): string {
  if (state === "SUCCESS") return ` ${shortened(stringifyPythonJson(value))}`;
  return value instanceof Error ? ` ${shortened(String(value))}` : "";
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > LONGEST_VALUE ? `${line.slice(0, LONGEST_VALUE - 3)}...` : line;
}

function drawBelow({ below, omitted }: Node, indent: string, lines: string[]): void {
  below.forEach((node, i) => {
    const isLast = i === below.length - 1 && omitted === 0;
    lines.push(`${indent}${isLast ? "└── " : "├── "}${node.label}`);
    drawBelow(node, `${indent}${isLast ? "    " : "│   "}`, lines);
  });
  if (omitted > 0) lines.push(`${indent}└── and ${omitted} more`);
}

function isGroup(result: PartResult): result is GroupResult<readonly unknown[]> {
  return "results" in (result as AsyncResult<unknown> | GroupResult<readonly unknown[]>);
}
