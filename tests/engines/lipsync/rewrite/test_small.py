"""Small faces are kept as the frames would give them once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.rewrite import small
from facepick.engines.lipsync.rewrite.small import SmallFaces, small_of


def kept_of(talker: list[FaceRequest], folder: Path) -> SmallFaces:
    faces = SmallFaces(folder)
    for request in talker:
        faces.add(request)
    faces.done()
    return SmallFaces(folder)


def test_what_is_kept_is_what_the_frame_gives(talker: list[FaceRequest], tmp_path: Path) -> None:
    kept = kept_of(talker[:5], tmp_path)
    assert list(kept.load()) == [r.source_frame for r in talker[:5]]
    wanted = [talker[1].source_frame, talker[4].source_frame]
    for face, request in zip(kept.faces(wanted), (talker[1], talker[4]), strict=True):
        fresh = small_of(request)
        assert face.source_frame == fresh.source_frame
        assert np.array_equal(face.picture, fresh.picture)
        assert np.array_equal(face.mesh, fresh.mesh)
    kept.drop()
    assert not list(tmp_path.iterdir())
    assert not kept.load()
    assert not list(kept.faces([]))


def test_a_frame_that_shows_the_person_twice_is_not_kept(
    talker: list[FaceRequest], tmp_path: Path
) -> None:
    kept = kept_of([talker[0], replace(talker[0], path=1), talker[1]], tmp_path)
    assert list(kept.load()) == [talker[1].source_frame]


def test_a_long_clip_is_kept_in_part(
    talker: list[FaceRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "MOST_BYTES", small_of(talker[0]).picture.nbytes)
    assert len(kept_of(talker[:5], tmp_path).load()) == 1


def test_what_was_cut_short_is_not_taken(talker: list[FaceRequest], tmp_path: Path) -> None:
    kept = kept_of(talker[:5], tmp_path)
    pictures = tmp_path / "small.u8"
    pictures.write_bytes(pictures.read_bytes()[:-1])
    assert list(kept.load()) == [r.source_frame for r in talker[:4]]
    pictures.unlink()
    assert not kept.load()
