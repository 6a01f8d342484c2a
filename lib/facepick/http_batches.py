"""Batches over HTTP, and the progress of jobs and batches as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from facepick.errors import UserInputError

__all__ = ["BatchWish", "event_stream"]

MAX_VIDEOS = 2_000
MAX_JOBS = 64
POLL_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""Proxies close what is silent for longer than 30 to 60 s."""


@dataclass(frozen=True, kw_only=True)
class BatchWish:
    """What the body of POST /batches asks for.

    Attributes:
        videos: files and folders, as they were named.
        name: of the folder of results, below the host's outputs.
        plan: the template, plain JSON.
        jobs: how many episodes at once.
    """

    videos: tuple[str, ...]
    name: str
    plan: Mapping[str, Any]
    jobs: int

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> BatchWish:
        """Read a request.

        Raises:
            UserInputError: a field is missing, or of another kind.
        """
        videos = payload.get("videos")
        if isinstance(videos, str):
            videos = [videos]
        if (
            not isinstance(videos, list)
            or not 0 < len(videos) <= MAX_VIDEOS
            or not all(isinstance(name, str) and name for name in videos)
        ):
            raise UserInputError('"videos" must be a list of videos, and of folders of them.')
        name, plan, jobs = payload.get("name"), payload.get("plan"), payload.get("jobs", 1)
        if not isinstance(name, str):
            raise UserInputError('"name" must be a plain name for the folder of results.')
        if not isinstance(plan, dict):
            raise UserInputError('"plan" must be a plan whose people are names.')
        if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= MAX_JOBS:
            raise UserInputError(f'"jobs" must be a whole number from 1 to {MAX_JOBS}.')
        # Of a template the video is left out; it is read like any other plan.
        return cls(
            videos=tuple(videos),
            name=name,
            plan={**plan, "video": videos[0], "content_hash": ""},
            jobs=jobs,
        )


async def event_stream(
    state: Callable[[], tuple[Mapping[str, Any], bool]],
) -> AsyncIterator[str]:
    """Yield the state of a job or batch as server-sent events, whenever it has changed.

    The last event is the state in which it has ended.

    Args:
        state: gives it as plain JSON, and whether it goes on; is called in a thread.
    """
    last, silent = "", 0.0
    while True:
        data, goes_on = await asyncio.to_thread(state)
        text = json.dumps(data)
        if text != last:
            last, silent = text, 0.0
            yield f"data: {text}\n\n"
        elif silent >= QUIET_SECONDS:
            silent = 0.0
            yield ": still here\n\n"
        if not goes_on:
            return
        await asyncio.sleep(POLL_SECONDS)
        silent += POLL_SECONDS
