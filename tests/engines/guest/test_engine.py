"""Guest engines: what goes out, what is taken back, and whom it changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.engine_cases import _speech, context_for
from tests.contracts.face_footage import face_requests

from facepick.cli.main import main
from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import EngineContext
from facepick.engines.guest.clips import Answer, check_answer, write_clip
from facepick.engines.guest.description import GuestDescription
from facepick.engines.guest.engine import GuestEngine
from facepick.engines.guest.pieces import plan_pieces
from facepick.errors import Cancelled, ToolError
from facepick.media.reader import VideoReader
from facepick.progress import CancelToken
from facepick.shots.shot import Shot

SCRIPT = Path(__file__).with_name("guest_draws.py")
SWAPS = Path(__file__).with_name("guest_swaps.py")
FRAMES = 30


def guest(mode: str = "draw", **changes: object) -> GuestDescription:
    words = (sys.executable, str(SCRIPT), mode, "{video}", "{audio}", "{out}", "{fps}")
    values = {"label": "Draws", "licence": "MIT", "flow": "lipsync", "size": 160, "command": words}
    return GuestDescription(name="draws", **{**values, **changes})


@pytest.fixture
def sightings(odd: Callable[[str], Path]) -> list[FaceRequest]:
    return face_requests(odd("base_640x360.mp4"), tuple(range(FRAMES)), margin=0.8, mesh=True)


Makes = Callable[..., EngineContext]


@pytest.fixture
def context(tmp_path: Path, sightings: list[FaceRequest], shared_media: Path) -> Makes:
    def make(description: GuestDescription, **changes: object) -> EngineContext:
        made = context_for(
            GuestEngine(description),
            tmp_path,
            sightings,
            cancel=CancelToken(),
            **_speech(tmp_path, sightings, shared_media),
        )
        return replace(made, **changes)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"size": 0}, {"crop": "aligned"}, {"container": "mkv"}])
def test_the_mouth_comes_from_the_guest(
    context: Makes, sightings: list[FaceRequest], changes: dict[str, object]
) -> None:
    description = guest(**changes)
    session = GuestEngine(description).open(context(description))
    answers = session.process(sightings)
    assert sum(isinstance(a, FacePatch) for a in answers) > FRAMES / 2
    request, patch = sightings[20], answers[20]
    assert isinstance(patch, FacePatch)
    # The guest's dark bar lies about the lips.
    x, y = patch.origin
    rows, columns = np.nonzero((patch.image.max(axis=2) < 120) & (patch.alpha > 0.9))
    mouth = request.landmarks5[3:].mean(axis=0)
    assert len(rows) > 20
    away = np.hypot(columns.mean() + x - mouth[0], rows.mean() + y - mouth[1])
    assert away < 0.3 * request.box.height
    assert session.report()["guest"] == "draws"
    session.close()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_clips_are_without_loss_and_read_in_any_order(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (12, 97, 131, 3), np.uint8)
    path = tmp_path / name
    assert write_clip(path, noise, fps=Fraction(25)) == 12
    answer = Answer(path)
    for number in (0, 5, 6, 2, 11):
        np.testing.assert_array_equal(answer.frame(number), noise[number])
    check_answer(path, label="x", frames=12, more=0, size=(131, 97), fps=Fraction(25))


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("few", r"gave \d+ frames for"),
        ("many", "more than"),
        ("size", "pictures of"),
        ("rate", "frames a second"),
        ("die", "code 7: the weights are not there"),
        ("rubbish", "no video"),
        ("nothing", "no video"),
    ],
)
def test_a_guest_that_is_wrong_is_told(context: Makes, mode: str, told: str) -> None:
    description = guest(mode)
    with pytest.raises(ToolError, match=told):
        GuestEngine(description).open(context(description))


def test_a_guest_that_hangs_is_ended(context: Makes) -> None:
    description = guest("hang", timeout=1.0)
    with pytest.raises(ToolError, match="longer than 1 s"):
        GuestEngine(description).open(context(description))


def test_a_stop_ends_the_program(context: Makes) -> None:
    token = CancelToken()
    description = guest("hang")
    threading.Timer(1.0, token.cancel).start()
    with pytest.raises(Cancelled):
        GuestEngine(description).open(context(description, cancel=token))


def test_a_program_that_is_not_there_is_told(context: Makes) -> None:
    description = guest(command=("no-such-program", "{video}", "{audio}", "{out}"))
    with pytest.raises(ToolError, match="no program"):
        GuestEngine(description).open(context(description))


@pytest.mark.slow
def test_what_was_made_is_not_made_again(context: Makes, sightings: list[FaceRequest]) -> None:
    description = guest(longest=0.5)
    first = GuestEngine(description).open(context(description))
    expected = [_digest(a) for a in first.process(sightings)]
    first.close()
    # A second try would die at once.
    again = guest("die", longest=0.5)
    second = GuestEngine(again).open(context(again))
    assert [_digest(a) for a in second.process(sightings)] == expected
    second.close()


def _digest(answer: object) -> object:
    if isinstance(answer, FacePatch):
        return hashlib.sha256(answer.image.tobytes() + answer.alpha.tobytes()).hexdigest()
    return answer


def test_pieces_cover_every_wanted_frame_once_and_end_at_cuts(context: Makes) -> None:
    description = guest(longest=0.6)
    made = context(description)
    scan = replace(made.scan, shots=(Shot(0, 0, 12), Shot(1, 12, FRAMES)))
    made = replace(made, scan=scan)
    wanted = np.ones(FRAMES, bool)
    wanted[20] = False
    pieces = plan_pieces(made, description, wanted)
    frames = np.concatenate([p.outputs for p in pieces])
    assert sorted(frames.tolist()) == [i for i in range(FRAMES) if i != 20]
    for piece in pieces:
        assert len(piece.outputs) <= 15
        assert not piece.sources.min() < 12 <= piece.sources.max()


def test_video_of_twice_the_rate_goes_out_as_two_clips(context: Makes) -> None:
    description = guest(fps=25.0)
    made = replace(context(description), times=np.arange(FRAMES) / 50.0)
    pieces = plan_pieces(made, description, np.ones(FRAMES, bool))
    assert [p.outputs[:2].tolist() for p in pieces] == [[0, 2], [1, 3]]


@pytest.mark.slow
def test_a_video_that_bounces_gives_every_output_frame_its_own(
    context: Makes, sightings: list[FaceRequest]
) -> None:
    description = guest()
    order = np.array([*range(20), *range(19, -1, -1)])
    made = context(description, frames=40, source_frames=order, times=np.arange(40) / 25.0)
    session = GuestEngine(description).open(made)
    shown = [
        replace(sightings[s], frame=i, time=Fraction(i, 25)) for i, s in enumerate(order.tolist())
    ]
    answers = session.process(shown)
    assert sum(isinstance(a, FacePatch) for a in answers) > 15
    assert Reason.LOW_CONFIDENCE not in answers
    session.close()


@pytest.mark.slow
def test_an_address_is_sent_the_files_and_its_answer_is_taken(
    context: Makes, sightings: list[FaceRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen["key"] = self.headers["Authorization"]
            boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
            parts = {}
            for part in body.split(b"--" + boundary)[1:-1]:
                head, _, data = part.partition(b"\r\n\r\n")
                parts[head.split(b'name="')[1].split(b'"')[0].decode()] = data[:-2]
            seen["fps"] = parts["fps"].decode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(parts["video"])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GUEST_KEY", "abc")
    description = guest(
        command=(),
        url=f"http://127.0.0.1:{server.server_port}/make",
        headers={"Authorization": "Bearer $GUEST_KEY"},
    )
    try:
        session = GuestEngine(description).open(context(description))
    finally:
        server.shutdown()
        server.server_close()
    assert seen == {"key": "Bearer abc", "fps": "25"}
    assert any(isinstance(a, FacePatch) for a in session.process(sightings))
    session.close()
    monkeypatch.delenv("GUEST_KEY")
    with pytest.raises(ToolError, match="GUEST_KEY"):
        GuestEngine(replace(description, size=128)).open(context(description))


@pytest.mark.slow
def test_the_command_adds_tries_and_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    words = [sys.executable, str(SCRIPT), "draw", "{video}", "{audio}", "{out}", "{fps}"]
    file = tmp_path / "guest.toml"
    file.write_text(
        f'label = "Draws"\nlicence = "MIT"\nflow = "lipsync"\ncommand = {words!r}\n',
        encoding="utf-8",
    )
    assert main(["engines", "add", "draws", str(file)]) == 0
    assert main(["engines", "test", "draws"]) == 0
    assert "Draws works: 50 frames of 256x256" in capsys.readouterr().out
    assert main(["engines", "add", "mesh", str(file)]) == 2
    assert main(["engines", "test", "nobody"]) == 2
    assert main(["engines", "remove", "draws"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["lipsync", "swap"])
def test_a_guest_changes_the_picked_face_and_nobody_else_by_a_level(
    flow: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    odd: Callable[[str], Path],
    photos: Callable[[str], Path],
    shared_media: Path,
    people_known: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    people_known(tmp_path / "home")
    words = {
        "lipsync": [str(SCRIPT), "draw", "{video}", "{audio}", "{out}", "{fps}"],
        "swap": [str(SWAPS), "{video}", "{source}", "{out}", "{fps}"],
    }
    asked = {
        "lipsync": ["--audio", str(shared_media / "speech" / "en_katie_f_18s_16k.wav")],
        "swap": ["--color", "off", "--source", str(photos("carl/1.jpg")),
                 "--i-have-the-right", "Contracted models."],
    }  # fmt: skip
    file, out = tmp_path / "guest.toml", tmp_path / "out.mp4"
    command = [sys.executable, *words[flow]]
    file.write_text(
        f'label = "Mine"\nlicence = "MIT"\nflow = "{flow}"\ncommand = {command!r}\n',
        encoding="utf-8",
    )
    assert main(["engines", "add", "mine", str(file)]) == 0
    assert main(["engines", "test", "mine"]) == 0
    assert "Mine works: 50 frames of 256x256" in capsys.readouterr().out
    clip = odd("base_640x360.mp4")
    # What was added is an engine from the next start on.
    argv = [sys.executable, "-m", "facepick", "preview", str(clip), "-o", str(out)]
    argv += ["--person", "P1", "--flow", flow, "--engine", "mine", *asked[flow]]
    # Without loss, so that what is measured is the engine and not the encoder.
    argv += ["--at", "0.4", "--seconds", "0.6", "--quality", "0"]
    subprocess.run(argv, check=True, timeout=300)
    changed = []
    with VideoReader(out) as both:
        for frame in both.frames():
            for plane, share in zip(frame.picture.planes(), (1, 2, 2), strict=True):
                # A preview shows the original on the left, the result on the right.
                width = 640 // share
                away = np.abs(plane[:, :width].astype(int) - plane[:, -width:])
                # The picked person is in the left half of the picture, the other in the right one.
                assert away[:, width // 2 :].max() == 0
                changed.append(int(away[:, : width // 2].max()))
    assert max(changed) > 30
