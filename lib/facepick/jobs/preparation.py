"""Preparation of a render: its people, frozen for as long as it lasts, and its sound."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError, NoFacesFound, SourceChanged, UserInputError
from facepick.files import read_json, write_json
from facepick.jobs.estimate import note_scan
from facepick.jobs.resources import Resources
from facepick.media.dub import OriginalSound
from facepick.media.loudness import LOUDNESS, keep_loudness_in
from facepick.media.probe import probe
from facepick.media.video import VideoInfo
from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.notices import Notice
from facepick.people.edits import apply_edits, edits_problem, load_edits
from facepick.people.finder import ScanSettings, content_hash, find_people
from facepick.people.person import Scan
from facepick.people.store import load_scan, save_scan
from facepick.progress import CancelToken, Progress, ProgressSink
from facepick.recognition.cast_voices import CastVoices
from facepick.render.learned_store import LEARNED, LearnedStore
from facepick.render.plan import RenderPlan
from facepick.render.preflight import check_photos
from facepick.render.publish import FinishedResult
from facepick.render.renderer import Renderer
from facepick.render.retake import RETAKES
from facepick.render.separation import without_voices
from facepick.render.sound import original_of, video_seconds
from facepick.render.voice_disguise import (
    VoiceDisguise,
    VoiceSpan,
    disguise_notices,
    hidden_voices,
)
from facepick.settings import from_mapping
from facepick.speech.known_voices import MODEL
from facepick.speech.speaker_embedding import SpeakerEmbedder
from facepick.speech.video_speakers import speakers_of_video

__all__ = ["REST", "Preparation", "corrected", "named", "scan_video"]

log = logging.getLogger("facepick.jobs")

REST = "rest.wav"
"""The original without its voices, in a folder that several processes work in."""


def scan_video(
    video: Path,
    settings: Mapping[str, Any],
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
    known: tuple[VideoInfo, str] | None = None,
) -> Scan:
    """Find the people of a video with the user's edits and the names of known people; cached."""
    wanted = from_mapping(ScanSettings, settings)
    searched = False

    def sink(report: Progress) -> None:
        nonlocal searched
        searched = True
        progress(report)

    began = time.monotonic()
    found = find_people(
        video,
        wanted,
        models=resources.models,
        cache=resources.cache,
        known=known,
        progress=sink,
        cancel=cancel,
    )
    if searched and wanted == ScanSettings():
        note_scan(resources, found, time.monotonic() - began)
    return corrected(found, resources)


def corrected(found: Scan, resources: Resources) -> Scan:
    """Give a scan the user's corrections, and the names of known people."""
    edited = apply_edits(found, load_edits(resources.cache, found.content_hash))
    return named(edited, resources.cast)


def named(found: Scan, file: Path | None) -> Scan:
    """Give people the names under which they are known.

    Args:
        file: of known people; None for none.
    """
    if file is None or not file.is_file():
        return found
    from facepick.recognition.cast import Cast
    from facepick.recognition.naming import name_people

    try:
        return name_people(found, Cast(file))
    except UserInputError as error:
        # A cast of another model can name nobody here; the scan itself is as good without it.
        log.warning("%s", error.sentence())
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """What a render is prepared of.

    Attributes:
        plan: what is to be done.
        folder: of this render alone.
        began: the end of the sentence that the video has changed "since ...".
        resources: what it works with.
        separator: what takes voices out of the original; None for nothing.
        rest: the original without its voices, if that is made already.
        progress, cancel: for whoever watches.
    """

    plan: RenderPlan
    folder: Path
    began: str
    resources: Resources
    separator: str | None
    progress: ProgressSink
    cancel: CancelToken
    rest: Path | None = None

    def frozen_scan(self) -> Scan:
        """Load the scan this job started with: later edits must not change a resumed job.

        Raises:
            UserInputError: the video is another one than when the job started.
        """
        return self._frozen

    @cached_property
    def _frozen(self) -> Scan:
        folder = self.folder / "scan"
        video = Path(self.plan.video)
        digest = content_hash(video, cancel=self.cancel) if video.is_file() else ""
        info = probe(video)
        kept = load_scan(folder, info=info, content_hash=digest)
        if kept is not None:
            return kept
        if folder.exists():
            raise SourceChanged(
                f"{video.name} has changed, or facepick has, since {self.began}.",
                hint="Start a new render.",
            )
        if self.plan.content_hash and digest and self.plan.content_hash != digest:
            raise SourceChanged(
                f"{video.name} is another video than the one that the plan was made for.",
                hint="Find its people again and make a new plan.",
            )
        # A look through a film takes minutes; what is wrong with a photo can be said now.
        check_photos(self.plan, self.resources.registry, self.resources.models, cancel=self.cancel)
        found = self._scan(video, (info, digest))
        # Thumbnails stay in the cache: a render does not need them.
        plain = replace(found, people=tuple(replace(p, thumbnails=()) for p in found.people))
        save_scan(folder, plain, {})
        problem = edits_problem(self.resources.cache, found.content_hash)
        if problem is not None:
            write_json(self.folder / "notices.json", [problem.to_json()])
        return found

    def renderer(
        self,
        found: Scan,
        *,
        notices: Sequence[Notice] = (),
        quick: bool = False,
        retakes: bool = False,
        update_of: Path | None = None,
    ) -> Renderer:
        """Make the renderer of the plan.

        Args:
            found: the people, as frozen.
            notices: what was found out before the render began.
            quick, update_of: see `Renderer`.
            retakes: keep segments for later takes.

        Raises:
            NoFacesFound: there is nobody.
        """
        if not found.people:
            raise NoFacesFound(
                f"Nobody was found in {found.video.path.name}.",
                hint="Try a scan with more accuracy, or a smaller least face.",
            )
        keep_loudness_in(self.resources.cache / LOUDNESS)
        original, voices = original_of(found), self._voices(found)
        return Renderer(
            replace(self.plan, content_hash=found.content_hash),
            found,
            rest=self.rest_of(found),
            change=self._disguise(voices, original) if voices and original else None,
            workspace=self.folder,
            registry=self.resources.registry,
            models=self.resources.models,
            device=self.resources.device,
            notices=(*notices, *disguise_notices(voices, len(found.video.audio))),
            learned=self.resources.cache / LEARNED,
            quick=quick,
            takes=self.resources.cache / RETAKES if retakes else None,
            update_of=update_of,
            progress=self.progress,
            cancel=self.cancel,
        )

    def sharing(self, found: Scan) -> Preparation:
        """Prepare for workers that see the folder, and nothing else of this machine's home."""
        rest = self.rest_of(found)
        if rest is None:
            return self
        return replace(self, rest=Path(shutil.copyfile(rest, self.folder / REST)))

    def write_review(self, finished: FinishedResult, out: Path) -> None:
        """Make the review of a finished result; a result without one is better than none.

        Args:
            out: where the result will lie.
        """
        finished.review.unlink(missing_ok=True)
        language = self.plan.output.review
        if language == "off" or finished.report is None:
            return
        from facepick.review.page import review_page

        try:
            page = review_page(
                finished.video,
                finished.report,
                finished.frames(),
                self.frozen_scan(),
                name=out.name,
                language=language,
                models=self.resources.models,
                registry=self.resources.registry,
                learnt=LearnedStore(self.resources.cache / LEARNED),
                progress=self.progress,
                cancel=self.cancel,
            )
            finished.review.write_text(page, encoding="utf-8")
        except (FacepickError, OSError) as error:
            log.warning("%s gets no review: %s", out.name, error)

    def _disguise(self, voices: tuple[VoiceSpan, ...], original: OriginalSound) -> VoiceDisguise:
        file = self.resources.models.find(CAM_PLUS_PLUS)
        likeness = None if file is None else SpeakerEmbedder(file).likeness
        return VoiceDisguise(voices, original.start, likeness)

    def _voices(self, found: Scan) -> tuple[VoiceSpan, ...] | None:
        """Find when hidden people are heard, once: later corrections must not change a resumed
        job."""
        if not self.plan.disguises_voices or original_of(found) is None:
            return None
        file = self.folder / "voices.json"
        with contextlib.suppress(OSError, ValueError, TypeError):
            return tuple(VoiceSpan(**row) for row in read_json(file))
        cast = self.resources.cast
        known = {} if cast is None else CastVoices(cast, MODEL).known(but=found.content_hash)
        speakers, _ = speakers_of_video(
            found,
            known=known,
            models=self.resources.models,
            cache=self.resources.cache,
            progress=self.progress,
            cancel=self.cancel,
        )
        spans = hidden_voices(self.plan, found, speakers)
        write_json(file, [asdict(span) for span in spans])
        return spans

    def _scan(self, video: Path, known: tuple[VideoInfo, str]) -> Scan:
        settings = self.plan.scan_settings
        return scan_video(video, settings, self.resources, self.progress, self.cancel, known)

    def rest_of(self, found: Scan) -> Path | None:
        """Take the voices out of the original, where the plan wants it and it would be heard."""
        original = original_of(found)
        if self.rest is not None:
            return self.rest
        if original is None or not self.plan.takes_voices_out:
            return None
        return without_voices(
            original,
            self.separator,
            seconds=video_seconds(found),
            folder=self.resources.cache / "separated",
            key=found.content_hash,
            device=self.resources.device,
            progress=self.progress,
            cancel=self.cancel,
        )
