/**
 * Two programs that talk by an id that both know, each waiting for the other: one asks (`to-task`) and waits for answers
 * (`to-client`), the other the other way round. Over Redis or, where `CELERIAC_BROKER_URL` names one, RabbitMQ. Either may be
 * `conversation.py` (`conversation_amqp.py`) just as well.
 *
 *     deno run -A examples/conversation.ts answer ada        (or: bun examples/conversation.ts answer ada)
 *     deno run -A examples/conversation.ts ask ada
 */
import process from "node:process";
import { Consumer, Producer, uid } from "../mod.ts";

const url = process.env.CELERIAC_BROKER_URL || "redis://localhost:6379/0";
const [role = "ask", id = uid()] = process.argv.slice(2);

if (role === "ask") {
  const questions = new Producer<number>(id, { url, direction: "to-task" });
  const answers = new Consumer<{ square: number }>(id, { url, pollInterval: 0.5 });
  for (const n of [2, 3, 12]) {
    await questions.sendMessage(n);
    const answer = await answers.get({ timeout: 30 });
    if (answer === undefined) throw new Error(`nobody answers ${id} within 30 s`);
    console.log(`${n} squared is ${answer.square}`);
  }
  await questions.end();
  await questions.close();
  await answers.close();
} else {
  const questions = new Consumer<number>(id, { url, direction: "to-task" });
  const answers = new Producer(id, { url });
  for await (const n of questions) await answers.sendMessage({ square: n * n });
  console.log("no more questions");
  await questions.close();
  await answers.close();
}
