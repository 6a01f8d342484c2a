"""Everyone but some: hiding fails safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from facepick.app import App
from facepick.cli.main import main
from facepick.errors import SelectionError
from facepick.people.person import Person, Scan
from facepick.people.selection import Selection, with_strangers
from facepick.render.geometry import Others
from facepick.render.plan import Assignment, EncodeSettings, RenderPlan
from facepick.render.renderer import Renderer


@pytest.fixture
def scan(app: App, odd: Callable[[str], Path]) -> Scan:
    return app.find_people(odd("base_640x360.mp4"))


def test_unsure_people_and_nobodys_faces_are_changed_too(scan: Scan) -> None:
    first, second, *rest = scan.people
    assert Selection((), everyone_but=(first.id,)).resolve(scan) == (second, *rest)
    doubtful = replace(scan, people=(first, replace(second, unsure=True)))
    assert [p.id for p in Selection((), everyone_but=(first.id,)).resolve(doubtful)] == [second.id]
    # Nobody says whose they are.
    free = with_strangers(replace(scan, people=(first,)))
    found = Selection((), everyone_but=(first.id,)).resolve(free)
    assert {key for p in found for key in p.track_ids} == set(second.track_ids)
    assert all(p.unsure for p in found)
    with pytest.raises(SelectionError, match="unsure"):
        Selection((), everyone_but=(second.id,)).resolve(doubtful)
    with pytest.raises(SelectionError, match="nobody but"):
        Selection((), everyone_but=(first.id,)).resolve(replace(scan, people=(first,)))


def test_picked_and_spared_cannot_both_be_named() -> None:
    with pytest.raises(SelectionError):
        Selection(("P1",), everyone_but=("P2",))
    with pytest.raises(SelectionError):
        Selection((), everyone_but=("P2", "P2"))


def test_it_survives_json_and_older_plans_load(app: App, scan: Scan) -> None:
    item = Assignment(selection=Selection((), everyone_but=("P1",)), flow="hide", engine="pixelate")
    plan = RenderPlan(video=str(scan.video.path), assignments=(item,))
    assert RenderPlan.from_json(plan.to_json()) == plan
    old = replace(item, selection=Selection(("P1",))).to_json()
    assert "everyone_but" not in old
    assert Assignment.from_json(old).selection == Selection(("P1",))


def test_nobodys_face_is_hidden_in_pixels_and_the_spared_one_is_as_filmed(
    app: App, scan: Scan, tmp_path: Path
) -> None:
    first, second = scan.people[:2]
    item = Assignment(
        selection=Selection((), everyone_but=(first.id,)), flow="hide", engine="pixelate"
    )
    plan = RenderPlan(
        video=str(scan.video.path), assignments=(item,), encode=EncodeSettings(quality=0), stop=12
    )
    # The second person's tracks are nobody's.
    known = plan.scan_of_all(replace(scan, people=(first,)))
    out = tmp_path / "out.mkv"
    (tmp_path / "work").mkdir()
    Renderer(
        plan, known, registry=app.registry, models=app.models, workspace=tmp_path / "work"
    ).run(out)
    before, after = _luma(scan.video.path, 12), _luma(out, 12)
    for i in range(12):
        different = before[i] != after[i]
        assert different[_box(scan, second.track_ids, i)].mean() > 0.4
        assert not different[_box(scan, first.track_ids, i)].any()


def _box(scan: Scan, keys: tuple[str, ...], frame: int) -> tuple[slice, slice]:
    for track in scan.tracks:
        box = track.box_at(frame) if track.id in keys else None
        if box is not None:
            return slice(int(box.y0), int(box.y1)), slice(int(box.x0), int(box.x1))
    raise AssertionError(f"nobody in frame {frame}")


def _luma(path: Path, count: int) -> list[np.ndarray]:
    found = []
    with av.open(str(path)) as container:
        height = container.streams.video[0].codec_context.height
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="yuv420p")[:height])
            if len(found) == count:
                break
    return found


def test_other_flows_are_refused_before_the_scan(
    odd: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = str(odd("base_640x360.mp4")), str(tmp_path / "out.mp4")
    spared = ["--everyone-but", "P1"]
    assert main(["render", clip, "-o", out, *spared, "--flow", "swap", "--source", clip]) == 2
    assert main(["render", clip, "-o", out, *spared, "--person", "P2", "--flow", "hide"]) == 2
    assert "one of the two" in capsys.readouterr().err


def test_of_two_hidden_neighbours_neither_is_spared(scan: Scan) -> None:
    first, second = scan.people[:2]
    frame = next(
        f for f in range(scan.frames) if _there(scan, first, f) and _there(scan, second, f)
    )
    assert Others(scan, first).at(frame)
    assert Others(scan, first, {second.id}).at(frame) == ()


def _there(scan: Scan, person: Person, frame: int) -> bool:
    return any(track.box_at(frame) is not None for track in scan.tracks_of(person.id))
