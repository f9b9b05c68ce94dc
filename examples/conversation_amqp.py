"""The same as conversation.ts over RabbitMQ, with pika alone: a message is JSON in a queue, an empty one is the end.

    python examples/conversation_amqp.py answer ada
    python examples/conversation_amqp.py ask ada
"""

import json
import os
import sys

import pika

url = os.environ.get("CELERIAC_BROKER_URL", "amqp://localhost")
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
role, id = sys.argv[1:]
to_task, to_client = f"celeriac.to-task.{id}", f"celeriac.to-client.{id}"
for queue in [to_task, to_client]:
    channel.queue_declare(queue, durable=True, arguments={"x-expires": 86_400_000})


def send(queue, value):
    channel.basic_publish("", queue, json.dumps(value) if value is not None else "")


def read(queue):
    for method, _, body in channel.consume(queue):
        channel.basic_ack(method.delivery_tag)
        if not body:
            return
        yield json.loads(body)


if role == "ask":
    answers = read(to_client)
    for n in [2, 3, 12]:
        send(to_task, n)
        print(f"{n} squared is {next(answers)['square']}")
    send(to_task, None)
else:
    for n in read(to_task):
        send(to_client, {"square": n**2})
    print("no more questions")
