"""The workflows that Celery's client makes in the bench; ../celeriac/workflows.ts makes the same."""
import os
import time

from celery import chain, chord, group

from tasks import add, count, merge, total


def chains(count, steps):
    # One connection for all of them, as Celery's documentation recommends for many calls.
    with add.app.producer_or_acquire() as producer:
        one = chain(add.s(0, 1), *(add.s(1) for _ in range(steps - 1)))
        results = [one.apply_async(producer=producer) for _ in range(count)]
    return all(result.get() == steps for result in results)


def group_of(count):
    return group(add.s(i, 1) for i in range(count)).delay().get() == list(range(1, count + 1))


def chord_of(count):
    return chord([add.s(i, 1) for i in range(count)], total.s()).delay().get() == count * (count + 1) // 2


def wordcount(folder, texts, calls):
    paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    parts = [paths[at:at + texts] for at in range(0, len(paths), texts)]
    everything = chord(count.chunks(parts, calls).group(), merge.s()).delay().get()
    return everything["texts"] == len(paths) and everything["words"] > 0


SHAPES = {"chains": chains, "group": group_of, "chord": chord_of, "wordcount": wordcount}


def run(shape, **sizes):
    """Runs a workflow, and gives the seconds from its first call to its last value."""
    began = time.perf_counter()
    if not SHAPES[shape](**sizes):
        raise ValueError("the workflow's value is wrong")
    return {"seconds": time.perf_counter() - began}
