"""Entry of the command line, which is also the contract of the child process.

Exit codes: 0 done, 2 the request is wrong, 3 a model or tool is missing, 4 stopped by the user,
5 failed.  Errors are one sentence on stderr with what to do next.
"""

from __future__ import annotations

import argparse
import errno
import gc
import io
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from facepick import __version__
from facepick.cli.batch import build_batch
from facepick.cli.cache import build_cache
from facepick.cli.console import make_app, print_json, watched
from facepick.cli.engines import build_engines
from facepick.cli.estimate import build_estimate
from facepick.cli.inspect import build_inspect
from facepick.cli.jobs import build_jobs
from facepick.cli.library import build_library
from facepick.cli.models import build_doctor, build_models
from facepick.cli.people import build_people
from facepick.cli.programs import build_demo, build_ui
from facepick.cli.render import build_preview, build_render
from facepick.cli.review import build_review
from facepick.cli.sign import build_sign
from facepick.cli.sources import build_sources
from facepick.cli.speakers import build_speakers
from facepick.errors import Cancelled, FacepickError, UserInputError
from facepick.progress import STOPPING
from facepick.text import printable, say

__all__ = ["main"]

Handler = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code and never raises."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if argv is None:
        _interruptible()
    code = _run(arguments, own_process=argv is None)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What was printed is the result of many commands: on a full disk it is not there.
        code = code or _refused(error, arguments)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


_asked_to_stop = threading.Event()


def _interruptible() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end a command as Ctrl-C does, unless they are ignored."""

    def handle(number: int, frame: object) -> None:
        _asked_to_stop.set()
        raise KeyboardInterrupt

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _run(arguments: list[str], *, own_process: bool) -> int:
    try:
        parser = parser_for(arguments)
        options = parser.parse_args(arguments)
        if getattr(options, "handler", None) is None:
            parser.print_help()
            return 0
        _set_up_logging(options.verbose)
        if own_process:
            # What is imported stays: the collector need not look through it again and again, which
            # takes 2 to 3 % of a render.
            gc.freeze()
        handler: Handler = options.handler
        return handler(options)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except Cancelled as error:
        _complain(str(error), error.exit_code, arguments)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("Stopped.", Cancelled.exit_code, arguments)
        return Cancelled.exit_code
    except FacepickError as error:
        if "--verbose" in arguments and error.__cause__ is not None:
            logging.getLogger("facepick").error("cause", exc_info=error.__cause__)
        _complain(error.sentence(), error.exit_code, arguments)
        return error.exit_code
    except OSError as error:
        return _refused(error, arguments)
    except Exception as error:
        if _asked_to_stop.is_set():
            # Some modules make another error of an interrupt that comes while they are imported.
            _complain("Stopped.", Cancelled.exit_code, arguments)
            return Cancelled.exit_code
        if "--verbose" in arguments:
            logging.getLogger("facepick").exception("unexpected")
        _complain(
            f"Unexpected {type(error).__name__}: {error} "
            "Run again with --verbose and report what it prints.",
            FacepickError.exit_code,
            arguments,
        )
        return FacepickError.exit_code


def _refused(error: OSError, arguments: Sequence[str]) -> int:
    """Report a file or folder that the system refused: a named one, or the home folder."""
    if "--verbose" in arguments:
        logging.getLogger("facepick").error("cause", exc_info=error)
    full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    hint = "Free some space." if full else "Check the path and who may write there."
    what = f"{error.filename}: " if error.filename else ""
    known = FacepickError if full or not error.filename else UserInputError
    _complain(f"{what}{error.strerror or error}. {hint}", known.exit_code, arguments)
    return known.exit_code


def _complain(sentence: str, code: int, arguments: Sequence[str]) -> None:
    line = " ".join(sentence.split())
    say(f"facepick: {line}", file=sys.stderr)
    if "jsonl" in arguments or "--progress=jsonl" in arguments:
        print_json({"event": "error", "exit_code": code, "message": line})


def _set_up_logging(verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.ERROR, handlers=[handler])
    if verbose:
        for noisy in ("PIL", "matplotlib", "httpx", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


class _OneLine(logging.Formatter):
    """Formatter that keeps a log message on one line: it may hold names of files and foreign
    words."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record), keep="\t\n")


class _Help(argparse.HelpFormatter):
    """Help whose texts keep their own ends of lines."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        split = super()._split_lines
        return [part for line in text.splitlines() for part in split(line, width)]

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(f"{indent}{line}\n" for line in text.strip("\n").splitlines())
        return super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Parser that says what is wrong as every other error is said, without all options first."""

    def error(self, message: str) -> NoReturn:
        from difflib import get_close_matches

        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        # Quoted or not: releases of Python differ.
        near = wrong and get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), 1)
        if wrong and near:
            where = message[: wrong.start()]
            message = f"{where}invalid choice: {wrong[1]!r:.60}; did you mean {near[0]}?"
        raise UserInputError(
            f"{message[:1].upper()}{message[1:].rstrip('.?')}{'?' if near else '.'}",
            hint=f"See: {self.prog} --help",
        )


def parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the command that was named gets its options, so that others cost
    nothing."""
    parser = _Parser(
        prog="facepick",
        description="Find everyone in a video, pick a person, change only that person.",
        epilog="Try: facepick people VIDEO --gallery people",
    )
    parser.add_argument("--version", action="version", version=f"facepick {__version__}")
    parser.set_defaults(handler=None, verbose=False)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    named = next((a for a in arguments if not a.startswith("-")), "")
    for name, (help_text, build) in COMMANDS.items():
        command = commands.add_parser(
            name, help=help_text, description=help_text, formatter_class=_Help, add_help=False
        )
        if name == named:
            build(command)
            general = command.add_argument_group("general")
            general.add_argument("-h", "--help", action="help", help="show this help and exit")
            general.add_argument(
                "--verbose", action="store_true", help="print more, and what happens inside"
            )
    return parser


def _recognition_parser(name: str) -> Callable[[argparse.ArgumentParser], None]:
    """Add the options of a command of `facepick.cli.recognition`."""

    def build(parser: argparse.ArgumentParser) -> None:
        from facepick.cli import recognition

        builders = {
            "cast": recognition.build_cast_parser,
            "evaluate": recognition.build_evaluate_parser,
            "verify-faces": recognition.build_verify_parser,
            "explain": recognition.build_explain_parser,
        }
        builders[name](parser, recognition.Tools(app=make_app, watch=watched))

    return build


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "people": ("scan videos and list the people in them", build_people),
    "speakers": ("who speaks when, and whose face it is", build_speakers),
    "render": ("change the picked person", build_render),
    "preview": ("a few seconds before and after, side by side", build_preview),
    "estimate": ("minutes, disk and memory of a change, before it is begun", build_estimate),
    "batch": ("do the same to a season of videos", build_batch),
    "library": ("where a person appears in a thousand videos", build_library),
    "jobs": ("list, show, resume and cancel jobs", build_jobs),
    "cache": ("show and clear what can be made again, and set its limit", build_cache),
    "models": ("list, fetch and verify model files", build_models),
    "cast": ("people known by name, over a whole series", _recognition_parser("cast")),
    "verify-faces": (
        "say whether two photos show one person",
        _recognition_parser("verify-faces"),
    ),
    "explain": ("show every step of comparing two photos", _recognition_parser("explain")),
    "evaluate": ("measure how well people are told apart", _recognition_parser("evaluate")),
    "engines": ("list the engines, add and try guests", build_engines),
    "sources": ("faces kept under a name, for swaps", build_sources),
    "sign": ("sign results with a certificate of yours (C2PA)", build_sign),
    "review": ("one page on what was done, how well, and what to look at", build_review),
    "inspect": ("read back what was changed in a result", build_inspect),
    "doctor": ("say what is there, what is missing, and what to do", build_doctor),
    "demo": ("do the main job on the bundled clip", build_demo),
    "ui": ("open the standalone app", build_ui),
}
