"""
A Python program that calls tasks written in TypeScript. To move one task of a Python shop at a time:

1. Write it in TypeScript under the name that it has in Python: the file tasks/math.ts gives `math.add`; another name
   is given with task({ name: "shop.tasks.add" }, fn). Name its parameters, task({ params: ["x", "y"] }, fn), where
   Python passes them by keyword.
2. Start `./celeriac worker -A tasks -b redis://localhost:6379/0 -Q typescript` beside your Python workers.
3. Send that task there: app.conf.task_routes = {"math.*": "typescript"}. Its callers stay as they are. A caller that
   had imported the Python function takes app.signature("math.add") instead, or send_task, as here.

    python examples/python_client.py
"""
import os

from celery import Celery

url = os.environ.get("CELERIAC_BROKER_URL", "redis://localhost:6379/0")
app = Celery(broker=url, backend=url)

print("math.add:", app.send_task("math.add", [1, 2]).get(timeout=30))

greet = app.signature("text.greet")
print("text.greet:", greet.delay(name="Ada", greeting="Good morning").get(timeout=30))
print("a moment later:", greet.apply_async(["Grace"], countdown=0.1).get(timeout=30))

try:
    app.send_task("text.fail", ["nothing to be done"]).get(timeout=30)
except Exception as error:
    print("an error:", type(error).__name__, error)
