/** What a Web Worker that is an isolate loads first. */
import { provideLibrary } from "../platform.ts";
import { serve } from "./inside.ts";

provideLibrary();
serve(globalThis as unknown as Parameters<typeof serve>[0]);
