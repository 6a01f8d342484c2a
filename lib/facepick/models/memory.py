"""The memory of the graphics card: what is free, and about what a job will take."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["CardMemory", "card_memory", "estimated_need"]

# The driver, CUDA and cuDNN take 0.5 to 0.7 GB of a card before the first network is on it.
_CONTEXT_BYTES = 600 * 10**6

# A network's activations and work space, for batches of faces of 96 to 512 pixels, are of the
# order of its weights; what is too much is halved until it fits, so that this need not be exact.
_PER_WEIGHT = 2

# nvidia-smi answers in 30 ms; a driver that hangs must not hold up a page.
_LIMIT_SECONDS = 3.0


@dataclass(frozen=True)
class CardMemory:
    """A graphics card's memory in bytes."""

    free: int
    total: int


def card_memory(
    *,
    environment: Mapping[str, str] | None = None,
    ask: Callable[[Sequence[str]], str] | None = None,
) -> CardMemory | None:
    """Read the memory of the card that this process' children use; None where nothing tells.

    Asked of the driver's own program, so that neither torch nor CUDA is loaded for it.

    Args:
        environment: names the card, in ``CUDA_VISIBLE_DEVICES``; None for this process' own.
        ask: runs a command and gives what it prints; None for the system's.

    Raises nothing: a card that cannot be asked is none.
    """
    if ask is None:
        if shutil.which("nvidia-smi") is None:
            return None
        ask = _printed
    known = os.environ if environment is None else environment
    first = known.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first in ("", "-1"):
        return None
    query = ["nvidia-smi", "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        line = ask([*query, f"--id={first}"]).splitlines()[0]
        free, total = (int(part) * 2**20 for part in line.split(","))
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
    return CardMemory(free, total)


def _printed(argv: Sequence[str]) -> str:
    done = subprocess.run(
        list(argv),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=True,
    )
    return done.stdout


def estimated_need(weights: Iterable[int]) -> int:
    """Estimate how many bytes of a card networks take, with what CUDA itself takes.

    Args:
        weights: bytes of each network's file.
    """
    return _CONTEXT_BYTES + _PER_WEIGHT * sum(weights)
