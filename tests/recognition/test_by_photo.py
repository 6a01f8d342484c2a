"""Who is in a photo, found among the people of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import frames_of

from facepick.app import App
from facepick.cli.main import main
from facepick.errors import NoFacesFound, SelectionError
from facepick.people.person import Scan


@pytest.fixture
def clip(odd: Callable[[str], Path]) -> Path:
    return odd("base_640x360.mp4")


@pytest.fixture
def scan(app: App, clip: Path) -> Scan:
    return app.find_people(clip)


@pytest.fixture
def photos(clip: Path, scan: Scan, tmp_path: Path) -> dict[str, Path]:
    """One of each person, cut from a frame, and one of both."""
    (image,) = frames_of(clip, (60,))
    made = {"both": tmp_path / "both.png"}
    cv2.imwrite(str(made["both"]), image)
    for person in scan.people[:2]:
        box = next(t.box_at(60) for t in scan.tracks_of(person.id) if t.box_at(60) is not None)
        reach = box.grown(0.5)
        made[person.id] = tmp_path / f"{person.id}.png"
        part = image[max(0, int(reach.y0)) : int(reach.y1), max(0, int(reach.x0)) : int(reach.x1)]
        cv2.imwrite(str(made[person.id]), part)
    return made


def test_everybody_is_found_by_a_photo(app: App, scan: Scan, photos: dict[str, Path]) -> None:
    for person in scan.people[:2]:
        assert app.person_by_photo(scan, photos[person.id]).id == person.id


def test_what_is_not_sure_is_told(
    app: App, scan: Scan, photos: dict[str, Path], tmp_path: Path
) -> None:
    first, second = scan.people[:2]
    with pytest.raises(SelectionError, match="2 faces"):
        app.person_by_photo(scan, photos["both"])
    with pytest.raises(SelectionError, match=f"most alike is {second.id}"):
        app.person_by_photo(replace(scan, people=(second,)), photos[first.id])
    twin = replace(first, id="P9")
    with pytest.raises(SelectionError, match=f"may be {first.id}, P9"):
        app.person_by_photo(replace(scan, people=(first, second, twin)), photos[first.id])
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(NoFacesFound):
        app.person_by_photo(scan, empty)


@pytest.mark.slow
def test_the_command_takes_a_photo(
    app: App, clip: Path, photos: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    words = ["--flow", "hide", "--save-plan", str(tmp_path / "plan.json")]
    assert (
        main(["render", str(clip), "-o", str(out), "--person", f"photo:{photos['P2']}", *words])
        == 0
    )
    assert '"P2"' in (tmp_path / "plan.json").read_text("utf-8")
    lost = ["--person", f"photo:{tmp_path / 'none.png'}"]
    assert main(["render", str(clip), "-o", str(out), *lost, "--flow", "hide"]) == 2
