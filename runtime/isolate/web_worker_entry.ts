/** What a Web Worker that is an isolate loads first. */
import { serve } from "./inside.ts";

serve(globalThis as unknown as Parameters<typeof serve>[0]);
