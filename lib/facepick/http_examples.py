"""Examples of the HTTP API: one for each route, for OpenAPI and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["EXAMPLES", "Example"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a route is for.

    Attributes:
        summary: a sentence without its full stop.
        bodies: JSON that may be sent to it, by a word for what that does.
    """

    summary: str
    bodies: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_PLAN = {
    "format": "facepick-plan/2",
    "video": "clip.mp4",
    "assignments": [{"people": ["P2"], "flow": "hide", "engine": "pixelate"}],
}

_SYNC = {
    "input": [
        {"type": "video", "path": "clip.mp4"},
        {"type": "audio", "path": "anna.wav", "refId": "anna"},
        {"type": "audio", "path": "ben.wav", "refId": "ben"},
    ],
    "sync_mode": "cut_off",
    "segments": [
        {"startTime": 0.5, "endTime": 3.0, "audioInput": {"refId": "anna"}},
        {
            "startTime": 3.2,
            "endTime": 6.0,
            "audioInput": {"refId": "ben", "startTime": 1.0, "endTime": 3.8},
        },
    ],
    "active_speaker_detection": {"auto_detect": True},
}

_PICKED = {
    "video": "clip.mp4",
    "audio": "anna.wav",
    "active_speaker_detection": {"frame_number": 12, "coordinates": [320, 240]},
}

EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "GET /": Example(summary="Name and version"),
        "GET /engines": Example(summary="Engines and their settings"),
        "GET /models": Example(summary="Model files, and which are there"),
        "POST /models/fetch": Example(
            summary="Start fetching model files", bodies={"fetch": {"models": ["speakers"]}}
        ),
        "POST /scans": Example(
            summary="Start finding everyone in a video", bodies={"scan": {"video": "clip.mp4"}}
        ),
        "POST /speakers": Example(
            summary="Start finding out who speaks when, and everyone in the video",
            bodies={
                "speakers": {"video": "clip.mp4"},
                "lines": {"video": "clip.mp4", "lines": "script.srt", "num_speakers": 2},
                "names": {"video": "clip.mp4", "lines": "script.srt", "names": "speaker.json"},
            },
        ),
        "POST /speakers/set": Example(
            summary="Correct who speaks; kept for good",
            bodies={"set": {"job": "20261122-215701-4f2a", "set": ["L3=P2", "L5=off_screen"]}},
        ),
        "POST /renders": Example(
            summary="Start a render: of a plan, or of a lip sync in the words of sync.so",
            bodies={
                "plan": {"plan": _PLAN, "name": "result.mp4"},
                "segments": _SYNC,
                "coordinates": _PICKED,
            },
        ),
        "POST /previews": Example(
            summary="Start a render of some seconds beside the original; 0 seconds are a picture",
            bodies={"preview": {"plan": _PLAN, "name": "look.mp4", "at": 4.0, "seconds": 3.0}},
        ),
        "GET /sources": Example(summary="Faces kept for swaps"),
        "POST /sources": Example(
            summary="Keep a face for swaps",
            bodies={"source": {"name": "anna", "photos": ["BASE64"], "face": 0}},
        ),
        "POST /sources/remove": Example(
            summary="Remove a kept face", bodies={"remove": {"name": "anna"}}
        ),
        "GET /jobs": Example(summary="Jobs, newest first"),
        "POST /jobs/order": Example(
            summary="Move a job that waits",
            bodies={"first": {"job": "20261122-215701-4f2a", "place": 1}},
        ),
        "GET /jobs/{job_id}": Example(summary="State and progress of a job"),
        "GET /jobs/{job_id}/people": Example(summary="People whom a scan has found"),
        "GET /jobs/{job_id}/speakers": Example(summary="Who speaks when, and whose face it is"),
        "GET /jobs/{job_id}/result": Example(summary="The result, as a file"),
        "GET /jobs/{job_id}/events": Example(summary="Progress of a job, as server-sent events"),
        "POST /jobs/{job_id}/cancel": Example(summary="Stop a job; what is done is kept"),
        "POST /jobs/{job_id}/resume": Example(summary="Go on with a job that was stopped"),
        "POST /estimates": Example(
            summary="Minutes, disk and memory that a plan takes on this machine",
            bodies={"plan": {"plan": _PLAN}},
        ),
        "POST /library/find": Example(
            summary="Where a person appears in the videos of the library",
            bodies={"photo": {"who": ["anna.jpg"], "sure": 0.5}},
        ),
        "GET /batches": Example(summary="Batches, newest first"),
        "POST /batches": Example(
            summary="Do the same to many videos, whose people are named by the cast or a photo",
            bodies={
                "batch": {
                    "videos": ["season"],
                    "name": "season-hidden",
                    "plan": {
                        "format": "facepick-plan/2",
                        "assignments": [{"people": ["Anna"], "flow": "hide", "engine": "blur"}],
                    },
                    "jobs": 1,
                }
            },
        ),
        "POST /batches/order": Example(
            summary="Move a batch that waits", bodies={"first": {"batch": "BATCH_ID", "place": 1}}
        ),
        "GET /batches/{batch_id}": Example(summary="How far a batch is, episode by episode"),
        "GET /batches/{batch_id}/events": Example(
            summary="Progress of a batch, as server-sent events"
        ),
        "POST /batches/{batch_id}/cancel": Example(summary="Stop a batch; what is done is kept"),
        "POST /batches/{batch_id}/resume": Example(
            summary="Go on with a batch; what has failed is tried again"
        ),
    }
)
