"""A user's videos that no browser plays, in whichever gradio: they stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.browser.support import PATIENCE_MS, ROOT, TabPage

__all__ = ["HEVC", "MATROSKA", "keeps_the_users_files", "spies"]

CLIP = ROOT / "lib" / "facepick" / "data" / "demo" / "two_people.mp4"

COUNT_MICROPHONES = """
  window.facepickAsked = 0;
  const devices = navigator.mediaDevices;
  const ask = devices && devices.getUserMedia;
  if (ask)
    devices.getUserMedia = (...options) => {
      window.facepickAsked += 1;
      return ask.apply(devices, options);
    };
"""

FFPROBE = """#!{python}
import json, sys
import av
path = sys.argv[-1]
with open({log!r}, "a") as log:
    log.write(json.dumps(["ffprobe", path]) + "\\n")
with av.open(path) as file:
    names = [s.codec_context.name for s in file.streams.video]
print(json.dumps({{"streams": [{{"codec_name": name}} for name in names]}}))
"""

FFMPEG = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(["ffmpeg", *sys.argv[1:]]) + "\\n")
os.execv({real!r}, ["ffmpeg", *sys.argv[1:]])
"""


def spies(folder: Path) -> tuple[dict[str, str], Path]:
    """ffmpeg and ffprobe as gradio finds them on a machine that has both, and what it asks of
    them.

    Returns:
        The environment of a server, and the file of its calls, one JSON list a line.
    """
    if os.name == "nt":
        pytest.skip("Windows starts no scripts as programs")
    import imageio_ffmpeg

    log = folder / "calls.jsonl"
    log.touch()
    places = {"python": sys.executable, "log": str(log), "real": imageio_ffmpeg.get_ffmpeg_exe()}
    for name, text in (("ffprobe", FFPROBE), ("ffmpeg", FFMPEG)):
        tool = folder / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(text.format(**places))
        tool.chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", "")])
    return {"PATH": path}, log


def cut(path: Path, codec: str) -> Path:
    """A second of the bundled clip, 320 x 180, as HEVC or in Matroska."""
    import av

    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        stream: Any = target.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none", "preset": "ultrafast"}
        for number, frame in enumerate(source.decode(video=0)):
            if number == 25:
                break
            small = frame.reformat(320, 180, "yuv420p")
            small.pts, small.pict_type, small.time_base = number, 0, Fraction(1, 25)
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def unchanged(path: Path) -> Iterator[None]:
    before = digest(path), path.stat().st_mtime_ns, path.stat().st_ino
    yield
    assert (digest(path), path.stat().st_mtime_ns, path.stat().st_ino) == before


def plays(tab: TabPage) -> None:
    tab.page.wait_for_function(
        """() => { const v = document.querySelector("#facepick_video video");
                   return v && v.readyState >= 2 && v.videoWidth === 320; }""",
        timeout=PATIENCE_MS,
    )


HEVC, MATROSKA = ("phone.mp4", "libx265"), ("screen.mkv", "libx264")
"""Name and encoder of files that browsers do not play."""


def keeps_the_users_files(
    context: Any,
    address: str,
    name: str,
    inputs: Path,
    home: Path,
    calls: Path,
    files: Sequence[tuple[str, str]] = (HEVC,),
) -> None:
    """Opens files by their paths, uploads them, and reloads each time.

    Args:
        inputs: a folder whose files the page may open.
        home: facepick's folder.
        calls: see `spies`.
        files: names and encoders.
    """
    context.add_init_script(COUNT_MICROPHONES)
    tab = TabPage(context, address, name)
    for file, codec in files:
        own = cut(inputs / file, codec)
        with unchanged(own):
            if not tab.page.is_visible("#facepick_path textarea, #facepick_path input"):
                tab.page.click(
                    "#facepick_video_advanced > button, #facepick_video_advanced .label-wrap"
                )
            tab.page.fill("#facepick_path textarea, #facepick_path input", file)
            tab.press("open")
            tab.wait_text("facts", file)
            tab.wait_text("facts", "hevc" if codec == "libx265" else "h264")
            plays(tab)
            tab.wait_text("video_player", "small copy")
            tab.shot(f"players_{own.stem}")
            tab.open(address)
            plays(tab)
            tab.wait_text("facts", file)
        mine = cut(inputs.parent / f"mine_{file}", codec)
        tab.page.click(
            "#facepick_video button[aria-label='Clear'], #facepick_video button[title='Clear']"
        )
        tab.wait_text("facts", "No video yet")
        tab.upload(mine)
        tab.wait_text("facts", f"mine_{file}")
        plays(tab)
        tab.open(address)
        plays(tab)
        tab.wait_text("facts", f"mine_{file}")
        kept = [p for p in home.glob(f"ui/*/uploads/*/*{file}") if p.stem.startswith("mine")]
        assert [digest(p) for p in kept] == [digest(mine)]
    # Nobody has asked to record.
    assert tab.page.evaluate("window.facepickAsked") == 0
    asked = [json.loads(line) for line in calls.read_text().splitlines()]
    # gradio has looked at what it was given, found it playable, and re-encoded nothing.
    assert {tool for tool, *_ in asked} == {"ffprobe"}
    places = [home / "cache" / "proxies", home / "ui" / "shown"]
    for _, path in asked:
        assert any(Path(path).is_relative_to(place) for place in places) or "gradio" in path, path
    tab.page.close()
