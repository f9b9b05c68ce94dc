"""
Celery tasks that take their time, for await_python.ts:

    celery --workdir examples -A slow_tasks worker -Q reports
"""
import os
import time

from celery import Celery

url = os.environ.get("CELERIAC_BROKER_URL", "amqp://guest:guest@localhost:5672//")
app = Celery(broker=url, backend="rpc://")


@app.task(name="reports.build")
def build(title, seconds=1):
    time.sleep(seconds)
    return f"{title}, built by Python"
