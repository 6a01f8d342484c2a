"""``facepick demo`` and ``facepick ui``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from facepick.cli.console import make_app, watched
from facepick.cli.options import add_progress
from facepick.errors import UserInputError
from facepick.paths import DEFAULT_JOBS, JOBS_VARIABLE
from facepick.text import say

__all__ = ["build_demo", "build_ui"]


def build_demo(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick demo``."""
    parser.add_argument("--out", metavar="DIR", default="facepick-demo", help="where results go")
    add_progress(parser)
    parser.set_defaults(handler=_demo)


def _demo(options: argparse.Namespace) -> int:
    from facepick.demo import run_demo

    with watched(options.progress) as (sink, token):
        made = run_demo(make_app(), Path(options.out), progress=sink, cancel=token)
    for name, path in made.items():
        say(f"{name}: {path}")
    say("Next, with a video of yours: facepick people VIDEO --gallery people", file=sys.stderr)
    return 0


def build_ui(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick ui``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=_port, help="port (default: the first free one from 7870)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    parser.add_argument(
        "--allow",
        metavar="DIR",
        action="append",
        default=[],
        help="folder whose files may be picked",
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="name by which the page may be called, besides addresses and localhost",
    )
    lock = parser.add_mutually_exclusive_group()
    lock.add_argument(
        "--token",
        metavar="TEXT",
        type=_token,
        help="what opens the page (default: a new one where --host lets others reach it)",
    )
    lock.add_argument(
        "--no-token", action="store_true", help="let everybody in who can reach --host"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_jobs,
        help=f"jobs that work at once; the others wait in order (default: {JOBS_VARIABLE} or "
        f"{DEFAULT_JOBS})",
    )
    parser.add_argument("--language", choices=("en", "zh"), help="default: the browser's")
    parser.set_defaults(handler=_ui)


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def _jobs(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 9999:
        raise argparse.ArgumentTypeError("a number from 1 to 9999")
    return number


def _token(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.~-]{8,128}", text):
        raise argparse.ArgumentTypeError(
            "a token has 8 to 128 letters of A-Z, a-z, 0-9, '-', '_', '.' and '~'"
        )
    return text


def _check_host(name: str) -> None:
    import socket

    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UserInputError(
            f"{name!r} is no address of this machine.", hint="Leave --host out, or give 0.0.0.0."
        ) from error


def _ui(options: argparse.Namespace) -> int:
    import importlib.util

    from facepick.app import App
    from facepick.errors import PackageMissing
    from facepick.host.standalone import StandaloneHost

    _check_host(options.host)
    for folder in options.allow:
        if not Path(folder).is_dir():
            raise UserInputError(f"There is no folder {folder}.", hint="Check --allow.")
    if importlib.util.find_spec("gradio") is None:
        raise PackageMissing("gradio", needed_for="the app", extra="ui")
    from facepick_ui.app import launch

    if options.jobs:
        os.environ[JOBS_VARIABLE] = str(options.jobs)

    host = StandaloneHost(
        roots=tuple(Path(p).absolute() for p in options.allow),
        language_name=options.language,
        page=True,
    )
    launch(
        App(host),
        host=options.host,
        port=options.port,
        open_browser=not options.no_browser,
        allow_hosts=options.allow_host,
        token="" if options.no_token else options.token,
    )
    return 0
