/** A Lua script with the name under which Redis keeps it. Each script of this folder says why it is atomic enough. */
import { createHash } from "node:crypto";

export interface Script {
  /** What it does, for error messages. */
  readonly name: string;
  readonly lua: string;
  readonly sha: string;
}

/** Names a script; its text is made of the fragments that it needs and its own lines. */
export function script(name: string, ...fragments: string[]): Script {
  const lua = fragments.join("\n");
  return { name, lua, sha: createHash("sha1").update(lua).digest("hex") };
}
