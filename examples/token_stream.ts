/**
 * Streaming tokens from a task to a web page, by server-sent events: the page opens `/answer?q=...`, the server starts the
 * task and passes on each message as it comes. One file for both runtimes, since both have node:http. When the visitor
 * leaves, the server stops reading.
 *
 *     ./celeriac worker -A examples/token_stream_tasks.ts
 *     deno run -A examples/token_stream.ts        (or: bun examples/token_stream.ts)
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import process from "node:process";
import { App } from "../mod.ts";

const app = new App();
const tasks = app.module<typeof import("./token_stream_tasks.ts")>("token_stream_tasks");

const page = `<!doctype html>
<meta charset="utf-8">
<title>Ask</title>
<form><input name="q" value="What is time?" size="40"> <button>Ask</button></form>
<p id="answer"></p>
<script>
  document.forms[0].onsubmit = (event) => {
    event.preventDefault();
    const answer = document.getElementById("answer");
    answer.textContent = "";
    const events = new EventSource("/answer?" + new URLSearchParams(new FormData(event.target)));
    events.onmessage = ({ data }) => answer.append(JSON.parse(data).token);
    for (const end of ["done", "failed"]) events.addEventListener(end, () => events.close());
  };
</script>`;

async function stream(question: string, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the visitor has left")));
  const send = (data: unknown, event = "message") =>
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const result = tasks.answer(question);
  try {
    for await (const message of result.messages({ signal: gone.signal })) send(message);
    send(await result, "done");
  } catch (error) {
    if (!gone.signal.aborted) send({ error: String(error) }, "failed");
  }
  response.end();
}

const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.pathname === "/answer") return void stream(url.searchParams.get("q") ?? "", response);
  response.writeHead(url.pathname === "/" ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
  response.end(url.pathname === "/" ? page : "There is no such page.");
});

server.listen(Number(process.env.PORT || 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as { port: number }).port}`);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    server.close();
    server.closeAllConnections();
    await app.disconnect();
    process.exit();
  });
}
