"""What a render is made of: nothing in it depends on where files lie.

A photo or a recording may have been replaced since, ``hardware`` may stand for another encoder on
another machine, and another version may draw otherwise: a result must not be half one and half the
other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick import __version__
from facepick.engines.registry import EngineRegistry
from facepick.files import read_json
from facepick.media.encode import EncodeSettings
from facepick.render.places import with_inputs
from facepick.render.plan import RenderPlan
from facepick.render.segments import SEGMENTS, SegmentStore, segments_to
from facepick.settings import from_mapping, to_mapping
from facepick.unchanged import Pins

__all__ = ["NOTE", "MadeOf", "drawn_frames"]

NOTE = "made_of.json"
"""Name of the file that says so, in the folder of a render."""


@dataclass(frozen=True, kw_only=True)
class MadeOf:
    """What a render is made of.

    Attributes:
        version: of facepick.
        plan: digest of the plan without the places of its files.
        encode: settings of the encoder that is used, plain JSON.
        inputs: name and sha256 of every file by its role in the plan; a file that is missing, such
            as a setting's that its engine looks for elsewhere, has the sha256 "".
        stops: where the segments end, in output frames.
    """

    version: str
    plan: str
    encode: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, str]]
    stops: tuple[int, ...]

    @classmethod
    def of(
        cls,
        plan: RenderPlan,
        registry: EngineRegistry,
        pins: Pins,
        *,
        encode: EncodeSettings,
        stops: tuple[int, ...],
    ) -> MadeOf:
        """Describe a plan.

        Args:
            pins: know what is in its files.
        """
        inputs: dict[str, tuple[str, str]] = {}

        def noted(role: str, name: str) -> str:
            inputs[role] = (Path(name).name, pins.hashes.get(os.path.abspath(name), ""))
            return role

        bare = with_inputs(plan, registry, noted)
        text = json.dumps({**bare.to_json(), "content_hash": ""}, sort_keys=True)
        return cls(
            version=__version__,
            plan=hashlib.sha256(text.encode()).hexdigest(),
            encode=to_mapping(encode),
            inputs=inputs,
            stops=stops,
        )

    @classmethod
    def load(cls, path: Path) -> MadeOf | None:
        """Read what was written down; None when nothing is, or an older version wrote it."""
        try:
            data = read_json(path)
            return cls(
                version=str(data["version"]),
                plan=str(data["plan"]),
                encode=dict(data["encode"]),
                inputs={role: (str(n), str(d)) for role, (n, d) in dict(data["inputs"]).items()},
                stops=tuple(int(stop) for stop in data["stops"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `load` takes it back."""
        return {
            "version": self.version,
            "plan": self.plan,
            "encode": dict(self.encode),
            "inputs": {role: list(entry) for role, entry in self.inputs.items()},
            "stops": list(self.stops),
        }

    @property
    def encoder(self) -> EncodeSettings:
        """Settings of the encoder."""
        return from_mapping(EncodeSettings, self.encode)

    def changed_inputs(self, now: MadeOf) -> list[str]:
        """List names of files that hold something else now, in the order of the plan."""
        return [
            name
            for role, (name, digest) in now.inputs.items()
            if self.inputs.get(role, ("", digest))[1] != digest
        ]


def drawn_frames(folder: Path) -> tuple[int, int]:
    """Count the frames that a stopped render has drawn and kept, and all it would have.

    Args:
        folder: of the render.

    Returns:
        Both are 0 where drawing has not been prepared.
    """
    made_of = MadeOf.load(folder / NOTE)
    if made_of is None:
        return 0, 0
    store, segments = SegmentStore(folder / SEGMENTS), segments_to(made_of.stops)
    kept = sum(part.stop - part.start for part in segments if store.is_finished(part))
    return kept, made_of.stops[-1] if made_of.stops else 0
