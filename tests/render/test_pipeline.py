"""Threads beside the worker: order, back-pressure, errors, early ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from facepick.render.pipeline import BackgroundConsumer, prefetched


def test_prefetch_keeps_order_and_stays_within_its_depth() -> None:
    made: list[int] = []
    taken = 0

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            # One item may wait in the producer's hand besides those in the queue.
            assert len(made) - taken <= 3 + 2
            yield i

    got = []
    for item in prefetched(items(), depth=3):
        taken += 1
        got.append(item)
    assert got == list(range(50))


def test_an_error_of_the_producer_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    source = prefetched(items(), depth=2)
    assert next(source) == 1
    with pytest.raises(ValueError, match="broken"):
        next(source)


def test_stopping_early_closes_the_producer_and_leaves_no_thread() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    source = prefetched(items(), depth=2)
    next(source)
    source.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "facepick-prefetch"]


def test_consumer_takes_everything_in_order() -> None:
    got: list[int] = []
    with BackgroundConsumer(got.append, depth=2) as consumer:
        for i in range(20):
            consumer.put(i)
    assert got == list(range(20))


def test_an_error_of_the_consumer_reaches_the_worker() -> None:
    def consume(item: int) -> None:
        raise OSError("disk full")

    def work() -> None:
        with BackgroundConsumer(consume, depth=1) as sink:
            for i in range(100):
                sink.put(i)

    with pytest.raises(OSError, match="disk full"):
        work()


def test_leaving_by_an_exception_drops_the_rest() -> None:
    got: list[int] = []
    begun, release = threading.Event(), threading.Event()

    def consume(item: int) -> None:
        begun.set()
        release.wait(60)
        got.append(item)

    def work() -> None:
        with BackgroundConsumer(consume, depth=4) as sink:
            for i in range(4):
                sink.put(i)
            assert begun.wait(60)
            # Goes on when the rest is being dropped, not a moment before.
            threading.Thread(
                target=lambda: (sink._dropping.wait(60), release.set()), daemon=True
            ).start()
            raise KeyError

    with pytest.raises(KeyError):
        work()
    # The consumer held the first item; the others were dropped while it waited.
    assert got == [0]
