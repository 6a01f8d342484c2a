"""onnxruntime's errors and options, in one place."""

from __future__ import annotations

from functools import cache

__all__ = ["onnxruntime_errors"]


@cache
def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Every error class of onnxruntime; they share no base below `Exception`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    classes = [c for c in vars(state).values() if isinstance(c, type)]
    return tuple(c for c in classes if issubclass(c, Exception))
