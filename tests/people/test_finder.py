"""The whole first pass on real footage.

The files of ``odd/`` show the first 150 frames of dev_gt2: woman A and man B side by side for
100 frames, then A alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from facepick.errors import Cancelled, MissingModelError, VideoOpenError
from facepick.models.store import ModelStore
from facepick.people.export import people_json
from facepick.people.finder import ScanSettings, content_hash, find_people
from facepick.people.gallery import draw_gallery, write_gallery
from facepick.people.person import Scan
from facepick.people.store import load_scan
from facepick.progress import CancelToken, Progress

Scanned = Callable[[str], Scan]


def boxes_of_truth(
    shared_media: Path, scale_x: float, scale_y: float
) -> dict[int, dict[str, list[float]]]:
    truth = json.loads((shared_media / "gt" / "dev_gt2.json").read_text())
    scale = [scale_x, scale_y, scale_x, scale_y]
    return {
        f["i"]: {
            face["id"]: [v * s for v, s in zip(face["box"], scale, strict=True)]
            for face in f["faces"]
        }
        for f in truth["frames"][:150]
    }


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [
        ("base_640x360.mp4", 640, 360),
        ("anamorphic_sar4x3.mp4", 480, 360),
        ("h264_10bit.mkv", 640, 360),
    ],
)
def test_both_people_are_in_every_frame_they_are_in_and_no_other(
    scanned: Scanned, shared_media: Path, name: str, width: int, height: int
) -> None:
    scan = scanned(name)
    truth = boxes_of_truth(shared_media, width / 1280, height / 720)
    a, b = scan.people
    assert [(s.start, s.stop) for s in scan.shots] == [(0, 100), (100, 150)]
    assert (a.frames, b.frames) == (150, 100)
    assert not a.unsure
    assert not b.unsure
    for person, who in ((a, "A"), (b, "B")):
        held: set[int] = set()
        for track in scan.tracks_of(person.id):
            for frame, box in zip(track.frames, track.boxes, strict=True):
                x0, y0, x1, y1 = truth[int(frame)][who]
                assert abs((box[0] + box[2]) / 2 - (x0 + x1) / 2) < (x1 - x0) / 3
                assert abs((box[1] + box[3]) / 2 - (y0 + y1) / 2) < (y1 - y0) / 3
                held.add(int(frame))
        assert held == {i for i, faces in truth.items() if who in faces}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rot90_meta.mp4", "rot180_meta.mov", "vfr_irregular.mp4"])
def test_turned_and_irregular_files_hold_the_same_two(scanned: Scanned, name: str) -> None:
    scan = scanned(name)
    assert len(scan.people) == 2
    assert scan.people[0].frames == scan.frames


@pytest.mark.slow
def test_cuts_every_three_frames_give_everybody_his_own_frames(
    media: Callable[[str], Path], store: ModelStore, cache: Path
) -> None:
    """Two people in turn, three frames each: nobody's track crosses a cut."""
    video = media("faults/cuts_every_3_frames.mp4")
    scan = find_people(video, ScanSettings(), models=store, cache=cache)
    first, second = ({int(f) for t in scan.tracks_of(p.id) for f in t.frames} for p in scan.people)
    turns = {i for i in range(72) if i % 6 < 3}, {i for i in range(72) if i % 6 >= 3}
    assert (first, second) in (turns, turns[::-1])


def test_screen_time_follows_the_clock_not_the_count(scanned: Scanned) -> None:
    """The irregular file drops frames, but A is on for the same 6 seconds."""
    even, uneven = scanned("base_640x360.mp4"), scanned("vfr_irregular.mp4")
    assert uneven.frames < even.frames
    for p, q in zip(even.people, uneven.people, strict=True):
        assert float(q.screen_time) == pytest.approx(float(p.screen_time), abs=0.25)


def test_a_gif_and_a_single_frame(scanned: Scanned) -> None:
    assert [p.frames for p in scanned("anim.gif").people] == [20, 20]
    assert [p.frames for p in scanned("one_frame.mp4").people] == [1, 1]


def test_a_tiny_webcam_clip(clip: Callable[[str], Path], store: ModelStore, cache: Path) -> None:
    scan = find_people(clip("cisco_2people_320x192"), models=store, cache=cache)
    assert [(p.frames, p.unsure) for p in scan.people] == [(9, False), (9, False)]


def test_a_video_of_nobody(tmp_path: Path, store: ModelStore) -> None:
    path = tmp_path / "nobody.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 320, 240
        ramp = np.tile(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], (240, 1, 3))
        for shift in range(12):
            frame = av.VideoFrame.from_ndarray(np.roll(ramp, shift * 9, axis=1).copy())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    scan = find_people(path, models=store, cache=tmp_path / "cache")
    assert scan.people == ()
    assert scan.tracks == ()
    assert scan.frames == 12
    assert people_json(scan)["people"] == []
    assert draw_gallery(scan).shape[1] == 1280
    again = find_people(path, models=store, cache=tmp_path / "cache")
    assert again.frames == 12


def test_sound_alone_is_refused(
    odd: Callable[[str], Path], store: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(VideoOpenError):
        find_people(odd("audio_only.mp4"), models=store, cache=tmp_path)


def test_without_the_embedder_the_error_says_how_to_get_it(
    odd: Callable[[str], Path], tmp_path: Path
) -> None:
    bare = ModelStore([], tmp_path / "models")
    with pytest.raises(MissingModelError) as caught:
        find_people(odd("one_frame.mp4"), models=bare, cache=tmp_path / "cache")
    assert caught.value.hint


def test_a_stopped_scan_leaves_nothing(
    odd: Callable[[str], Path], store: ModelStore, tmp_path: Path
) -> None:
    token = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == "scan" and progress.done >= 20:
            token.cancel()

    with pytest.raises(Cancelled):
        find_people(
            odd("base_640x360.mp4"), models=store, cache=tmp_path, progress=stop, cancel=token
        )
    assert list(tmp_path.iterdir()) == []


def test_the_second_call_reads_what_the_first_stored(
    scanned: Scanned, odd: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    first = scanned("base_640x360.mp4")
    # Without any model it can only come from the store.
    again = find_people(odd("base_640x360.mp4"), models=ModelStore([], tmp_path), cache=cache)
    assert people_json(again) == people_json(first)
    for x, y in zip(first.tracks, again.tracks, strict=True):
        np.testing.assert_array_equal(x.landmarks5, y.landmarks5)
        np.testing.assert_array_equal(x.origin, y.origin)
    for p, q in zip(first.people, again.people, strict=True):
        np.testing.assert_array_equal(p.exemplars, q.exemplars)
        assert p.screen_time == q.screen_time


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["json", "npz", "thumbnail", "version"])
def test_a_damaged_store_is_scanned_anew(
    odd: Callable[[str], Path], store: ModelStore, tmp_path: Path, damage: str
) -> None:
    first = find_people(odd("one_frame.mp4"), models=store, cache=tmp_path)
    folder = Path(first.folder)
    if damage == "json":
        (folder / "scan.json").write_text('{"version": 1, "tracks": [')
    elif damage == "npz":
        data = (folder / "scan.npz").read_bytes()
        (folder / "scan.npz").write_bytes(data[: len(data) // 2])
    elif damage == "thumbnail":
        (folder / first.people[0].thumbnails[0]).unlink()
    else:
        plain = json.loads((folder / "scan.json").read_text())
        (folder / "scan.json").write_text(json.dumps({**plain, "version": 0}))
    assert load_scan(folder, info=first.video, content_hash=first.content_hash) is None
    again = find_people(odd("one_frame.mp4"), models=store, cache=tmp_path)
    assert people_json(again) == people_json(first)
    assert load_scan(folder, info=first.video, content_hash=first.content_hash) is not None
    aside = [p.name for p in tmp_path.iterdir() if p != folder]
    assert len(aside) == 1, "what could not be read is kept"
    assert aside[0].startswith(f"{folder.name}.unreadable-")


def test_other_settings_are_stored_apart(
    odd: Callable[[str], Path], store: ModelStore, cache: Path
) -> None:
    path = odd("one_frame.mp4")
    a = find_people(path, models=store, cache=cache)
    b = find_people(path, replace(ScanSettings(), accuracy="fast"), models=store, cache=cache)
    assert a.folder != b.folder
    assert len(b.people) == 2


def test_content_hash_is_of_the_bytes(odd: Callable[[str], Path]) -> None:
    same = odd("naïve ñame 影片 (1)'s [x] %d.mp4")
    assert content_hash(same) == content_hash(odd("base_640x360.mp4"))
    assert content_hash(same) != content_hash(odd("no_audio.mp4"))


def test_the_json_is_what_the_contract_says(scanned: Scanned) -> None:
    scan = scanned("base_640x360.mp4")
    plain = json.loads(json.dumps(people_json(scan)))
    assert plain["format"] == "facepick-people/1"
    assert plain["video"]["frames"] == 150
    assert plain["video"]["time_base"] == "1/12800"
    assert plain["video"]["duration_seconds"] == 6.0
    assert plain["shots"] == [{"start": 0, "stop": 100}, {"start": 100, "stop": 150}]
    first = plain["people"][0]
    assert (first["id"], first["name"], first["frames"], first["seconds"]) == ("P1", None, 150, 6)
    owned = {t for p in plain["people"] for t in p["tracks"]}
    for track in plain["tracks"]:
        assert (track["person"] is not None) == (track["id"] in owned)
        frames = [row[0] for row in track["boxes"]]
        assert frames == list(range(frames[0], frames[-1] + 1))
        assert all(x0 < x1 and y0 < y1 for _, x0, y0, x1, y1 in track["boxes"])


def test_thumbnails_show_a_face_from_different_tracks(scanned: Scanned) -> None:
    import cv2

    scan = scanned("base_640x360.mp4")
    for person in scan.people:
        assert 3 <= len(person.thumbnails) <= 5
        for name in person.thumbnails:
            image = cv2.imdecode(
                np.frombuffer((Path(scan.folder) / name).read_bytes(), np.uint8), 1
            )
            assert image.shape == (192, 192, 3)
            assert image.std() > 10


def test_the_gallery_is_written(scanned: Scanned, tmp_path: Path) -> None:
    scan = scanned("base_640x360.mp4")
    written = write_gallery(scan, tmp_path / "gallery")
    names = [p.name for p in written]
    assert names[0] == "gallery.jpg"
    assert set(names[1:]) == {n for p in scan.people for n in p.thumbnails}
    picture = draw_gallery(scan)
    # B is on for two thirds of the video: so much of B's strip is coloured.
    rows = [r for r in range(picture.shape[0]) if len(np.unique(picture[r, 500:1240], axis=0)) == 2]
    shares = {
        round(float(np.mean(np.any(picture[r, 500:1240] != picture[r, 1239], axis=1))), 2)
        for r in rows
    }
    assert any(abs(s - 2 / 3) < 0.03 for s in shares)


@pytest.mark.slow
def test_a_smear_after_a_broken_key_frame_is_nobody_of_its_own(
    scanned: Callable[[str], Scan],
) -> None:
    """bit_damage.mp4: two people; from its second key frame on nothing is right."""
    scan = scanned("bit_damage.mp4")
    sure = [p for p in scan.people if not p.unsure]
    assert len(sure) == 2
    assert all(t.stop <= 100 for p in sure for t in scan.tracks_of(p.id))
    assert all(t.start >= 98 for p in scan.people if p.unsure for t in scan.tracks_of(p.id))
