"""Batches: one request for a season of videos, whose people are named by the cast.

The folder of results is the batch's memory: ``DIR/.facepick/NAME.json`` says for every episode what
its result is made of, which job makes it and how that ended.  It is written before the job begins,
so that a batch that was killed goes on with the same job.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facepick import __version__
from facepick.errors import NotInVideo, SelectionError, SettingsError, UserInputError
from facepick.files import read_json, write_json
from facepick.media.encode import container_of
from facepick.pages import filled
from facepick.people.person import Person, Scan
from facepick.people.selection import Selection
from facepick.render.plan import RenderPlan
from facepick.render.report import is_report, review_of, sidecar_of
from facepick.text import printable
from facepick.unchanged import sha256_of

__all__ = [
    "FORMAT",
    "WHOEVER",
    "Episode",
    "EpisodeResult",
    "Template",
    "batch_json",
    "find_episodes",
    "index_page",
    "is_made_of",
    "is_result",
    "load_state",
    "made_of",
    "save_state",
    "short_name",
]

FORMAT = "facepick-batch/1"

WHOEVER = "*"
"""Stands in a template for whoever speaks the lines that lie beside an episode."""

ByPhoto = Callable[[Scan, Path], Person]
"""Finds who is in a photo among the people of a video."""

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".wmv", ".flv", ".ogv", ".3gp", ".nut",
})
# fmt: on
LINES_SUFFIXES = (".srt", ".vtt", ".ass", ".json")
SOUND_SUFFIXES = (".wav", ".m4a", ".flac", ".mp3", ".aac", ".ogg", ".opus")


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One video of a batch, and what lies beside it by name.

    Attributes:
        video: the source.
        out: where the result goes.
        lines, dub, background, soundtrack: files beside the video, None where there is none.
    """

    video: Path
    out: Path
    lines: Path | None = None
    dub: Path | None = None
    background: Path | None = None
    soundtrack: Path | None = None

    @property
    def beside(self) -> dict[str, Path]:
        """Files beside the video by what they are."""
        found = {name: getattr(self, name) for name in ("lines", "dub", "background", "soundtrack")}
        return {name: path for name, path in found.items() if path is not None}


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """Outcome of one episode.

    Attributes:
        status: ``done``, ``skipped`` (done before, or nobody who was asked for is in it),
            ``failed`` or ``cancelled``.
        result: path of the result, None where there is none.
        error: one sentence: why it failed, or why nothing was made.
        seconds: how long it took.
        people: ids by the names that were asked for; None for who is not in this episode.
    """

    episode: Episode
    status: str
    result: Path | None = None
    error: str | None = None
    seconds: float = 0.0
    people: Mapping[str, str | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "video": str(self.episode.video),
            "result": None if self.result is None else str(self.result),
            "status": self.status,
            "error": self.error,
            "seconds": round(self.seconds, 2),
            "people": dict(self.people),
        }


@dataclass(frozen=True, kw_only=True)
class Template:
    """What is done to every episode: a plan without a video, whose people are names.

    Attributes:
        plan: its video, speech and sounds are put in for each episode.
    """

    plan: RenderPlan

    @classmethod
    def load(cls, path: Path) -> Template:
        """Read a template: a plan in which the video may be left out.

        Raises:
            UserInputError: it is no plan.
        """
        try:
            data = read_json(path)
        except (OSError, ValueError) as error:
            raise UserInputError(f"The template {path} cannot be read: {error}.") from error
        if isinstance(data, dict):
            data = {**data, "video": data.get("video") or "episode", "content_hash": ""}
        return cls(plan=RenderPlan.from_json(data))

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody who is named, each once."""
        selections = (item.selection for item in self.plan.assignments)
        named = (n for s in selections for n in (s.people or s.everyone_but))
        return tuple(dict.fromkeys(name for name in named if name != WHOEVER))

    @property
    def speaks(self) -> bool:
        """True when somebody's lips follow new speech."""
        return any(item.flow == "lipsync" for item in self.plan.assignments)

    def people(self, scan: Scan, by_photo: ByPhoto) -> dict[str, str | None]:
        """Find the ids of those who are named; None for who is not in the episode.

        Raises:
            SelectionError: a name is several people's, or who is in a photo cannot be told.
        """
        return {name: _id_of(scan, name, by_photo) for name in self.names}

    def for_episode(
        self, episode: Episode, scan: Scan, found: Mapping[str, str | None]
    ) -> RenderPlan | None:
        """Make the plan of an episode, without new speech; None when there is nobody to change.

        Args:
            found: of `people`.

        Raises:
            SelectionError: somebody who is to be spared is not found, so that it cannot be said
                whom to change.
        """
        assignments = []
        for item in self.plan.assignments:
            selection = _selection(item.selection, found, episode)
            if selection is not None:
                assignments.append(replace(item, selection=selection))
        if not assignments:
            return None
        output = self.plan.output
        if self.speaks:
            output = replace(
                output,
                background=str(episode.background) if episode.background else output.background,
                soundtrack=str(episode.soundtrack) if episode.soundtrack else output.soundtrack,
            )
        return replace(
            self.plan,
            video=str(episode.video),
            content_hash=scan.content_hash,
            assignments=tuple(assignments),
            output=output,
        )


def _selection(
    wanted: Selection, found: Mapping[str, str | None], episode: Episode
) -> Selection | None:
    """Put ids in the place of names; None when nobody of those who are picked is there."""
    if wanted.people == (WHOEVER,):
        return wanted
    if not wanted.everyone_but:
        picked = tuple(dict.fromkeys(i for name in wanted.people if (i := found[name])))
        return Selection(picked, wanted.include_unsure) if picked else None
    spared = tuple(dict.fromkeys(i for name in wanted.everyone_but if (i := found[name])))
    if not spared:
        raise SelectionError(
            f"None of those to be spared is found in {episode.video.name}.",
            hint="Look at its people; leave the episode out if it shall stay as it is.",
        )
    return Selection((), wanted.include_unsure, spared)


def _id_of(scan: Scan, name: str, by_photo: ByPhoto) -> str | None:
    if name.startswith("photo:"):
        try:
            return by_photo(scan, Path(name.removeprefix("photo:"))).id
        except NotInVideo:
            return None
    wanted = name.lower()
    if any(wanted in (p.id.lower(), (p.name or "").lower()) for p in scan.people):
        return scan.person(name).id
    return None


def find_episodes(places: Sequence[str | Path], folder: Path) -> list[Episode]:
    """List the videos that are named and those of folders that are named, in order of names.

    Results, which have a report beside them, are passed over.  A JSON file stands for the videos
    that ``facepick library find`` has listed in it.

    Raises:
        UserInputError: there is none, one is missing, or two would have the same result.
    """
    videos: list[Path] = []
    for place in places:
        path = Path(place).absolute()
        if path.is_dir():
            videos.extend(
                item
                for item in sorted(path.iterdir())
                if item.suffix.lower() in VIDEO_SUFFIXES and item.is_file() and not is_result(item)
            )
        elif path.suffix.lower() == ".json" and path.is_file():
            videos.extend(_found_in(path))
        elif path.exists():
            videos.append(path)
        else:
            raise UserInputError(f"There is no file {place}.", hint="Check the path.")
    videos = list(dict.fromkeys(videos))
    if not videos:
        raise UserInputError(
            "No video was found.", hint="Name videos, or a folder in which there are some."
        )
    episodes = [_episode(video, folder) for video in videos]
    twice = [name for name, n in Counter(e.out.name.lower() for e in episodes).items() if n > 1]
    if twice:
        raise UserInputError(
            f"Two episodes would have the result {twice[0]}.",
            hint="Give them other names, or do them in two batches.",
        )
    if any(episode.video.parent == folder.absolute() for episode in episodes):
        raise UserInputError(
            "The results would lie among the episodes.", hint="Give another folder with -o."
        )
    return episodes


def _found_in(path: Path) -> list[Path]:
    """Read the videos of a ``facepick-found/1`` file, in order of names."""
    try:
        data = read_json(path)
        if data["format"] != "facepick-found/1":
            raise ValueError("format")
        return sorted({Path(str(item["video"])).absolute() for item in data["found"]})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(
            f"{path.name} is no list of found videos.",
            hint="Make one with: facepick library find PHOTO --json FILE",
        ) from error


def is_result(path: Path) -> bool:
    """Tell whether a video is a result of facepick: a report lies beside it."""
    return is_report(sidecar_of(path))


def _episode(video: Path, folder: Path) -> Episode:
    try:
        container_of(video)
        name = video.name
    except SettingsError:
        name = f"{video.stem}.mp4"

    def first(middle: str, suffixes: Iterable[str]) -> Path | None:
        paths = (video.with_name(f"{video.stem}{middle}{suffix}") for suffix in suffixes)
        return next((path for path in paths if path.is_file()), None)

    return Episode(
        video=video,
        out=folder.absolute() / name,
        lines=first("", LINES_SUFFIXES),
        dub=first("", SOUND_SUFFIXES),
        background=first(".me", SOUND_SUFFIXES),
        soundtrack=first(".soundtrack", SOUND_SUFFIXES),
    )


# --- what a result is made of ----------------------------------------------------------------


def made_of(plan: RenderPlan, inputs: Sequence[str]) -> str:
    """Digest everything that a result is made of: the plan, and the files that it names."""
    digests = {name: sha256_of(Path(name)) for name in inputs}
    data = {"plan": plan.to_json(), "inputs": digests, "version": __version__}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def is_made_of(episode: Episode, state: Mapping[str, Any], digest: str) -> bool:
    """Tell whether the result is there and was made of what `made_of` has digested."""
    if state.get("made_of") != digest or not episode.out.is_file():
        return False
    return state.get("sha256") == sha256_of(episode.out)


def _state_file(episode: Episode) -> Path:
    return episode.out.parent / ".facepick" / f"{episode.out.name}.json"


def load_state(episode: Episode) -> dict[str, Any]:
    """Load what is known of an episode from before; empty when nothing is."""
    try:
        data = read_json(_state_file(episode))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def save_state(episode: Episode, state: Mapping[str, Any]) -> None:
    """Keep what is known of an episode."""
    path = _state_file(episode)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(state), durable=True)


# --- what is told at the end -----------------------------------------------------------------


def batch_json(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Describe a batch, format ``facepick-batch/1``."""
    return {"format": FORMAT, "episodes": [item.to_json() for item in results]}


def short_name(name: str) -> str:
    """Shorten a name for people: of a photo, the folder is left out.

    >>> short_name("photo:/cast/anna.jpg"), short_name("Anna")
    ('photo:anna.jpg', 'Anna')
    """
    return f"photo:{Path(name).name}" if name.startswith("photo:") else name


def index_page(results: Sequence[EpisodeResult]) -> str:
    """Write the page that links every result, its review and its report."""
    counts = Counter(item.status for item in results)
    page = filled(
        Path(__file__).parent / "data" / "batch.html",
        summary=", ".join(f"{number} {status}" for status, number in counts.items()),
        rows=[_row_of(item) for item in results],
    )
    return page + "\n"


def _row_of(item: EpisodeResult) -> dict[str, Any]:
    """Describe one episode for the page; a photo by its name, not by the folder it lies in."""
    from urllib.parse import quote

    files: list[tuple[Path | None, str]] = [(item.result, "video")]
    if item.result is not None:
        files += [(review_of(item.result), "review"), (sidecar_of(item.result), "report")]
    people = [(short_name(name), who or "-") for name, who in item.people.items()]
    return {
        "name": item.episode.video.name,
        "status": item.status,
        "people": [printable(f"{name}: {who}") for name, who in people],
        "links": [(quote(f.name), text) for f, text in files if f is not None and f.is_file()],
        "error": printable(item.error or ""),
    }
