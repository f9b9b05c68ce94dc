/**
 * The isolate of the floors: decodes whole messages, runs `add`, makes the texts of the results, and nothing else. It
 * gets an array of envelopes and answers with id, text, id, text.
 */
import { Buffer } from "node:buffer";

const tasks: Readonly<Record<string, (x: number, y: number) => number>> = { "tasks.add": (x, y) => x + y };
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<string[]>) => void;
  postMessage(texts: string[]): void;
};

scope.onmessage = ({ data: envelopes }) => {
  const done: string[] = [];
  const now = new Date().toISOString();
  for (const envelope of envelopes) {
    const { headers, body } = JSON.parse(envelope);
    const [[x, y]] = JSON.parse(Buffer.from(body, "base64").toString("latin1"));
    const value = JSON.stringify(tasks[headers.task](x, y));
    done.push(
      headers.id,
      `{"status": "SUCCESS", "result": ${value}, "traceback": null, "children": [], ` +
        `"date_done": "${now}", "task_id": "${headers.id}"}`,
    );
  }
  scope.postMessage(done);
};
