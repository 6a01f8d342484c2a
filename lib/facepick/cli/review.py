"""``facepick review``: one page on what was done in a result, how well, and what to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from facepick.cli.console import make_app, watched
from facepick.cli.options import add_progress
from facepick.publishing import refuse_input, refuse_output, write_output
from facepick.text import say

__all__ = ["build_review"]


def build_review(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick review``."""
    parser.add_argument("result", metavar="OUT", help="a result of facepick, its report beside it")
    parser.add_argument(
        "-o", "--out", metavar="review.html", help="the page (default: beside the result)"
    )
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="English or Chinese")
    parser.add_argument(
        "--show-hidden", action="store_true", help="also show hidden faces as they were filmed"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite a file that facepick did not write"
    )
    add_progress(parser)
    parser.set_defaults(handler=_review)


def _review(options: argparse.Namespace) -> int:
    from facepick.render.report import is_review, review_of, sidecar_of

    result = Path(options.result.removesuffix(".facepick.json"))
    out = Path(options.out) if options.out else review_of(result)
    refuse_input(out, [result, sidecar_of(result)])
    app = make_app()
    force = options.force or is_review(out)
    refuse_output(out, force=force)
    with watched(options.progress) as (sink, token):
        page = app.review(
            result,
            language=options.language,
            show_hidden=options.show_hidden,
            progress=sink,
            cancel=token,
        )
    write_output(out, page, force=force)
    say(str(out))
    return 0
