"""A file of SyncNet's layout with seeded numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facepick.measure.syncnet import expected_shapes


def write_weights(path: Path) -> Path:
    """Writes what ``syncnet_v2.model`` is: a state dict by PyTorch."""
    torch = pytest.importorskip("torch", reason="SyncNet runs on PyTorch")
    rng = np.random.default_rng(3)
    state = {}
    for name, shape in expected_shapes().items():
        array = rng.standard_normal(shape).astype(np.float32)
        if name.endswith("running_var"):
            array = np.abs(array) + 1
        elif name.endswith("weight") and len(shape) > 1:
            array *= np.sqrt(2 / np.prod(shape[1:]))
        state[name] = torch.from_numpy(array)
    torch.save(state, path)
    return path
