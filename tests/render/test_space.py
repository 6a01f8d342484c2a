"""The disk space that a render needs is compared with what is free, before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.errors import DiskFull
from facepick.media.encode import EncodeSettings
from facepick.render.space import SpaceNeed, check_space, need_of, result_bytes


def test_a_render_that_would_fill_a_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000_000))
    check_space(SpaceNeed(workspace=2_900_000_000, target=0), tmp_path, tmp_path)
    with pytest.raises(DiskFull, match=r"3\.1 GB .* 3\.0 GB are free"):
        check_space(SpaceNeed(workspace=3_100_000_000, target=0), tmp_path, tmp_path)
    with pytest.raises(DiskFull, match=r"4\.0 GB"):
        check_space(SpaceNeed(workspace=0, target=4_000_000_000), tmp_path, tmp_path)


def test_what_is_there_already_is_not_needed_again(
    people_known: Callable[[Path], None],
    odd: Callable[[str], Path],
    tmp_path: Path,
    shared_models: Path,
) -> None:
    from facepick.models.store import ModelStore
    from facepick.people.finder import find_people

    people_known(tmp_path / "home")
    clip = odd("base_640x360.mp4")
    models = ModelStore([shared_models], tmp_path / "models")
    scan = find_people(clip, models=models, cache=tmp_path / "home" / "cache")
    encode = EncodeSettings()
    size = result_bytes(scan.video, scan.frames, scan.frames, encode)
    assert size == clip.stat().st_size
    assert result_bytes(scan.video, scan.frames, scan.frames // 2, encode) == size // 2
    assert (
        result_bytes(scan.video, scan.frames, scan.frames, EncodeSettings(quality=12)) == 2 * size
    )
    work = tmp_path / "work"
    work.mkdir()
    asked = {
        "frames": scan.frames,
        "meshes": 1,
        "sound_seconds": 2.0,
        "workspace": work,
        "folder": tmp_path,
    }
    before = need_of(scan, encode, **asked)  # type: ignore[arg-type]
    assert before.target == 0
    assert before.workspace > 2 * size + 150 * 478 * 12 + 2 * 48_000 * 4
    (work / "00000.nut").write_bytes(b"x" * 100_000)
    after = need_of(scan, encode, **asked)  # type: ignore[arg-type]
    assert before.workspace - after.workspace == 100_000
