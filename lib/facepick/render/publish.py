"""Finished results, kept whole in their job's folder until they lie where the user wants them.

``FOLDER/result.mp4`` is the video, ``head.json`` its report but for the report's "frames", which
lie in ``frames.json``.  ``head.json`` is written last: with it the result is whole.  Where a review
was made, it lies in ``review.html``.  Publishing puts a second name of the video (or a copy, where
the target is another file system), the report and the review beside the target, and names them
there: the video last, all or none.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facepick.errors import RenderError, TargetTaken, UserInputError
from facepick.files import as_json, json_rows, read_json, write_json, write_json_rows
from facepick.progress import CancelToken, never
from facepick.publishing import Staging, refuse_taken
from facepick.render.report import is_report, is_review, review_of, sidecar_of
from facepick.unchanged import sha256_of

__all__ = ["FinishedResult", "refuse_existing"]

log = logging.getLogger("facepick.render")

_HEAD, _FRAMES, _REVIEW = "head.json", "frames.json", "review.html"


@dataclass(frozen=True, kw_only=True)
class FinishedResult:
    """A video that is done, and all that is told of it.

    Attributes:
        folder: where it is kept; nothing else lies in it.
        video: the file.
        sha256: of the video.
        facts: what the job tells of it, plain JSON.
        report: the sidecar but for its "frames" and its place; None without provenance.
    """

    folder: Path
    video: Path
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] | None = None

    @classmethod
    def make(
        cls,
        folder: Path,
        suffix: str,
        write: Callable[[Path], Any],
        describe: Callable[[Any, str], tuple[Mapping[str, Any], Mapping[str, Any] | None]],
        *,
        frames: Iterable[Any] = (),
        cancel: CancelToken = never,
    ) -> FinishedResult:
        """Write a result.

        Args:
            suffix: of the video, with its dot.
            write: writes the video to a path.
            describe: facts and report, of what `write` gave and the video's sha256.
            frames: the "frames" of the report, asked for one by one.

        Raises:
            RenderError: the disk refuses; the folder holds no result.
            Cancelled, and what `write` and `describe` raise.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        video = folder / f"result{suffix}"
        written = write(video)
        digest = sha256_of(video, cancel=cancel)
        facts, report = describe(written, digest)
        done = cls(folder=folder, video=video, sha256=digest, facts=facts, report=report)
        if report is not None:
            write_json_rows(folder / _FRAMES, frames)
        head = {"video": video.name, "sha256": digest, "facts": facts, "report": report}
        write_json(folder / _HEAD, head, durable=True)
        return done

    @classmethod
    def load(cls, folder: Path) -> FinishedResult | None:
        """Load the result in a folder, or None when there is none that is whole."""
        try:
            head = read_json(folder / _HEAD)
            video = folder / Path(head["video"]).name
            if not video.is_file():
                return None
            return cls(
                folder=folder,
                video=video,
                sha256=str(head["sha256"]),
                facts=dict(head["facts"]),
                report=None if head["report"] is None else dict(head["report"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s holds no result that can be read: %s", folder, error)
            return None

    @property
    def review(self) -> Path:
        """Where the review of the result is written, if one is made."""
        return self.folder / _REVIEW

    def frames(self) -> Iterator[Any]:
        """Yield the "frames" of the report one by one; none without a report."""
        if self.report is not None:
            yield from json_rows(self.folder / _FRAMES)

    def publish(self, out: Path, *, force: bool = False, cancel: CancelToken = never) -> None:
        """Put video and report where they are wanted, and forget them here.

        Raises:
            TargetTaken: something lies there, and `force` is not given.
            UserInputError: `out` has another suffix than the video.
            RenderError: the disk refuses.
            Cancelled.
            After any of them nothing is there that was not there before, and the result is kept.
        """
        self.check_suffix(out)
        if not self._is_published(out):
            try:
                self._publish(out, force, cancel)
            except TargetTaken:
                raise
            except OSError as error:
                raise RenderError(
                    f"{out.name} could not be written ({error.strerror or error}).",
                    hint="Check that the folder may be written to and has space left.",
                ) from error
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_suffix(self, out: Path) -> None:
        """Check the suffix of a name.

        Raises:
            UserInputError: the name promises another kind of file.
        """
        suffix = self.video.suffix
        if out.suffix.lower() != suffix.lower():
            raise UserInputError(
                f"The finished result is a {suffix} file, and {out.name} is no name for that.",
                hint=f"Give it a name that ends in {suffix}.",
            )

    def _publish(self, out: Path, force: bool, cancel: CancelToken) -> None:
        sidecar, review = sidecar_of(out), review_of(out)

        def may_replace(path: Path) -> bool:
            # Reports and reviews of a result that is gone are of no use to anybody.
            ours = (path == sidecar and is_report(path)) or (path == review and is_review(path))
            return force or (ours and not out.exists())

        refuse_existing(out, force=force)
        with Staging() as staging:
            pairs: list[tuple[Path | None, Path]] = []
            told: dict[str, str] = {}
            if self.review.is_file():
                told["review"] = review.name
                pairs.append((staging.bring(self.review, review, cancel=cancel), review))
            elif is_review(review):
                pairs.append((None, review))
            if self.report is not None:
                place = {**self.report["result"], "path": str(out), **told}
                report = {**self.report, "result": place}
                with staging.writing(sidecar) as (part, file):
                    file.write(f'{as_json(report)[:-1]}, "frames": '.encode())
                    with open(self.folder / _FRAMES, "rb") as frames:
                        shutil.copyfileobj(frames, file)
                    file.write(b"}")
                pairs.append((part, sidecar))
            elif is_report(sidecar):
                # Of the video that is overwritten.
                pairs.append((None, sidecar))
            pairs.append((staging.bring(self.video, out, cancel=cancel), out))
            staging.publish(pairs, may_replace=may_replace)

    def _is_published(self, out: Path) -> bool:
        """Tell whether an earlier run was killed when it had put everything in its place."""
        try:
            if out.stat().st_size != self.video.stat().st_size or sha256_of(out) != self.sha256:
                return False
            if self.report is None:
                return not is_report(sidecar_of(out))
            there = read_json(sidecar_of(out))["result"]
            return bool(there["sha256"] == self.sha256)
        except (OSError, ValueError, TypeError, KeyError):
            return False


def refuse_existing(out: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        TargetTaken: a result at `out` would overwrite what facepick may not overwrite.
    """
    sidecar, review = sidecar_of(out), review_of(out)
    refuse_taken(out, force=force)
    refuse_taken(sidecar, force=force or is_report(sidecar))
    refuse_taken(review, force=force or is_review(review))
