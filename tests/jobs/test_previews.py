"""Previews: one frame as a picture, what is learnt once, and how far a job is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facepick.app import App
from facepick.errors import Cancelled, UserInputError
from facepick.media.reader import VideoReader
from facepick.people.selection import Selection
from facepick.progress import CancelToken, Progress
from facepick.render.learned_store import LEARNED
from facepick.render.plan import Assignment, RenderPlan, SpeechLine
from facepick.render.preview import GAP_PX

AT = 1.0
WIDTH, HEIGHT = 640, 360


def hidden(app: App, video: Path, **settings: object) -> RenderPlan:
    item = Assignment(
        selection=Selection(("P1",)), flow="hide", engine="pixelate", settings=settings
    )
    return app.make_plan(video, [item])


def speaking(app: App, video: Path, speech: Path, **settings: object) -> RenderPlan:
    item = Assignment(
        selection=Selection(("P1",)), flow="lipsync", engine="rewrite", settings=settings,
        speech=(SpeechLine(path=str(speech)),),
    )  # fmt: skip
    return app.make_plan(video, [item])


def frame_of(app: App, plan: RenderPlan, out: Path) -> tuple[list[np.ndarray], list[Progress]]:
    """Preview one frame; gives its three pictures and all reports."""
    import cv2

    seen: list[Progress] = []
    job = app.new_preview_job(plan, out, at=AT, seconds=0, force=True)
    record = app.run(job, progress=seen.append)
    assert record.result["stop"] - record.result["start"] == 1
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (HEIGHT, 3 * WIDTH + 2 * GAP_PX, 3)
    return [sheet[:, i * (WIDTH + GAP_PX) :][:, :WIDTH] for i in range(3)], seen


def test_one_frame_is_shown_before_after_and_as_what_changed(
    app: App, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    video = odd("base_640x360.mp4")
    (before, after, changed), _ = frame_of(app, hidden(app, video), tmp_path / "frame.png")
    with VideoReader(video) as reader:
        frames = reader.frames()
        wanted = round(AT * 25)
        filmed = next(f.picture.bgr().copy() for f in frames if f.index == wanted)
        frames.close()  # type: ignore[attr-defined]
    assert np.array_equal(before, filmed)
    differs = (before != after).any(axis=2)
    assert np.array_equal(changed[..., 0] > 0, differs)
    # A face of this clip takes 2 to 10 % of the picture.
    assert 0.01 < differs.mean() < 0.2


def test_a_picture_of_one_frame_wants_the_name_of_a_picture(
    app: App, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    plan = hidden(app, odd("base_640x360.mp4"))
    with pytest.raises(UserInputError, match="picture"):
        app.new_preview_job(plan, tmp_path / "frame.mp4", seconds=0)
    with pytest.raises(UserInputError, match="lies outside"):
        app.run(app.new_preview_job(plan, tmp_path / "frame.png", at=100.0, seconds=0))
    assert not (tmp_path / "frame.png").exists()


@pytest.mark.slow
def test_another_setting_of_drawing_learns_nothing_anew(
    app: App, odd: Callable[[str], Path], shared_media: Path, tmp_path: Path
) -> None:
    video, speech = odd("base_640x360.mp4"), shared_media / "speech/en_ljspeech_f_22k.wav"
    plan = speaking(app, video, speech)
    first, seen = frame_of(app, plan, tmp_path / "frame.png")
    assert any(report.stage == "prepare" for report in seen)
    kept = sorted((app.cache / LEARNED).iterdir())
    assert kept
    again, seen = frame_of(app, plan, tmp_path / "frame.png")
    assert not any(report.stage == "prepare" for report in seen)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    stronger = speaking(app, video, speech, strength=0.5)
    other, seen = frame_of(app, stronger, tmp_path / "frame.png")
    assert not any(report.stage == "prepare" for report in seen)
    assert np.array_equal(other[0], first[0])
    assert not np.array_equal(other[1], first[1])
    assert sorted((app.cache / LEARNED).iterdir()) == kept


@pytest.mark.slow
def test_stop_keeps_the_faces_that_were_found(
    app: App, odd: Callable[[str], Path], shared_media: Path, tmp_path: Path
) -> None:
    from facepick.faces.mesh import FaceMesh

    plan = speaking(
        app, odd("base_640x360.mp4"), shared_media / "speech/en_ljspeech_f_22k.wav"
    )  # fmt: skip
    token = CancelToken()

    def stop(report: Progress) -> None:
        if report.stage == "prepare" and report.done >= 20:
            token.cancel()

    out = tmp_path / "frame.png"
    looked: list[int] = []
    locate = FaceMesh.locate

    def counting(self: FaceMesh, *args: object, **named: object) -> object:
        looked.append(1)
        return locate(self, *args, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceMesh, "locate", counting)
        with pytest.raises(Cancelled):
            app.run(app.new_preview_job(plan, out, at=AT, seconds=0), progress=stop, cancel=token)
        before = len(looked)
        frame_of(app, plan, out)
    whole = app.find_people(plan.video).tracks
    frames = sum(len(track.frames) for track in whole)
    # 20 frames and more are not looked at again.
    assert before >= 20
    assert len(looked) <= frames
    assert len(looked) - before < frames - 15


def test_a_job_goes_one_way_from_nothing_to_all(
    app: App, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    plan = hidden(app, odd("base_640x360.mp4"))
    job = app.new_preview_job(plan, tmp_path / "out.mp4", at=AT, seconds=1)
    app.run(job, progress=seen.append)
    stages = list(dict.fromkeys(r.stage for r in seen if r.stage != "wait"))
    assert stages == ["open", "load", "render", "publish"]
    shares = [r.overall for r in seen if r.overall is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(r.total is None or r.done <= r.total for r in seen)
