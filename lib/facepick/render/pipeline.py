"""Decoder, worker and encoder side by side, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["BackgroundConsumer", "prefetched"]

T = TypeVar("T")
_END = object()


def prefetched(items: Iterable[T], *, depth: int) -> Iterator[T]:
    """Iterate `items` in a thread of their own, at most `depth` ahead.

    An exception of the producer is raised here, in its place.  When the consumer stops early
    (``close()`` of the generator, or an exception), the thread ends after the item it is at and
    is joined.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    failure: list[BaseException] = []

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:
            failure.append(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            put(_END)

    thread = threading.Thread(target=produce, name="facepick-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if item is _END:
                break
            yield item
    finally:
        stop.set()
        thread.join()
    if failure:
        raise failure[0]


class BackgroundConsumer(Generic[T]):
    """Consumer that hands items to `consume` in a thread of its own, at most `depth` behind.

    Use as a context manager.  Leaving it normally waits for the last item and raises what
    `consume` raised; leaving it by an exception drops what is queued and joins the thread.
    """

    def __init__(self, consume: Callable[[T], None], *, depth: int) -> None:
        self._consume = consume
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=depth)
        self._failure: BaseException | None = None
        self._dropping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facepick-consumer", daemon=True)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if item is _END:
                return
            if self._failure is not None or self._dropping.is_set():
                continue
            try:
                self._consume(item)
            except BaseException as error:
                self._failure = error

    def put(self, item: T) -> None:
        """Queue one item; blocks while the consumer is `depth` behind.

        Raises whatever `consume` raised for an earlier item.
        """
        if self._failure is not None:
            raise self._failure
        self._queue.put(item)

    def __enter__(self) -> BackgroundConsumer[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._dropping.set()
        self._queue.put(_END)
        self._thread.join()
        if kind is None and self._failure is not None:
            raise self._failure
