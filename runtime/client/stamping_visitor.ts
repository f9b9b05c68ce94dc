/** Who is asked for the stamps of each part of a workflow (Celery: `StampingVisitor`), before it is **published**. */
import { groupOf, headerOf } from "../workflow/compose.ts";
import type { Stamping, Stamps } from "../workflow/stamps.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { AnySignature } from "./signature.ts";

/** What a visitor gives: stamps by their names, or nothing. */
export type VisitorStamps = Readonly<Record<string, unknown>> | undefined | void;

/**
 * Is shown the parts of a workflow by {@linkcode Signature.stamp}, from outside to inside, and gives what each of them is
 * stamped with. What it gives for a chain, group or chord stands on all tasks in it. `stamps` are those from outside.
 *
 * @example
 * ```ts
 * import { App, chain, type StampingVisitor, uid } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * const monitoring: StampingVisitor = { onSignature: ({ task }) => ({ monitoring: `${task}-${uid()}` }) };
 * await chain(add.s(1, 2), add.s(4)).stamp(monitoring).delay();
 * await app.disconnect();
 * ```
 */
export interface StampingVisitor {
  /** For each task (Celery: `on_signature`). */
  onSignature(signature: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** For a group, before its parts (Celery: `on_group_start`). */
  onGroupStart?(group: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** After its parts, with their stamps on them (Celery: `on_group_end`). */
  onGroupEnd?(group: AnySignature, stamps: Readonly<Record<string, unknown>>): void;
  /** For a chain, before its steps (Celery: `on_chain_start`). */
  onChainStart?(chain: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** After its steps, with their stamps on them (Celery: `on_chain_end`). */
  onChainEnd?(chain: AnySignature, stamps: Readonly<Record<string, unknown>>): void;
  /** For a chord, before the parts of its header (Celery: `on_chord_header_start`). Default: `onGroupStart` of the header. */
  onChordHeaderStart?(chord: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** After the parts of its header (Celery: `on_chord_header_end`). Default: `onGroupEnd` of the header. */
  onChordHeaderEnd?(chord: AnySignature, stamps: Readonly<Record<string, unknown>>): void;
  /** For a chord again, before its body, which has the stamps of the header, too (Celery: `on_chord_body`). */
  onChordBody?(chord: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** For what is linked to a part (Celery: `on_callback`). */
  onCallback?(callback: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
  /** For what is called when a part fails (Celery: `on_errback`). */
  onErrback?(errback: AnySignature, stamps: Readonly<Record<string, unknown>>): VisitorStamps;
}

/** A stamp can't be a function, so this tells a visitor from stamps. */
export function isVisitor(given: StampingVisitor | Stamps): given is StampingVisitor {
  return typeof given.onSignature === "function";
}

/** Asks a visitor; `signatureOf` makes what it is shown. */
export function asking(
  visitor: StampingVisitor,
  signatureOf: (json: SignatureJson) => AnySignature,
): NonNullable<Stamping["ask"]> {
  return (moment, part, stamps) => {
    if (visitor[moment] !== undefined) return visitor[moment](signatureOf(part), stamps);
    if (moment !== "onChordHeaderStart" && moment !== "onChordHeaderEnd") return undefined;
    const { tasks, options } = headerOf(part);
    const header = signatureOf({ ...groupOf(tasks), options });
    return moment === "onChordHeaderStart"
      ? visitor.onGroupStart?.(header, stamps)
      : visitor.onGroupEnd?.(header, stamps);
  };
}
