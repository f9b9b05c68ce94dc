/** A task module of which the client's tests take the types only. */
import { task } from "../../mod.ts";

Object.assign(globalThis, { shopIsLoaded: true });

export const TAX = 0.2;

export function price(what: string, count = 1): number {
  return what.length * count * (1 + TAX);
}

export async function deliver(to: string): Promise<Date> {
  return new Date(await Promise.resolve(to));
}

export const wrap = task({ queue: "packing" }, (what: string): string => `[${what}]`);

export const track = task({ bind: true }, (ctx, id: number): boolean => ctx.retries === id);
