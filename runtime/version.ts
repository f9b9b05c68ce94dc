/** This release; `package.json` and `deno.json` say the same (a test sees to it). */
export const version = "0.1.0";
