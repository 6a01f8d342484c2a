"""``facepick sign``: with which certificate results are signed."""

from __future__ import annotations

import argparse
from pathlib import Path

from facepick.cli.console import make_app, print_json
from facepick.cli.options import add_settings, given
from facepick.text import say

__all__ = ["build_sign"]


def build_sign(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick sign``."""
    from facepick.render.signing import SigningSettings
    from facepick.settings import fields_of

    parser.add_argument("--off", action="store_true", help="sign nothing from now on")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_settings(parser, fields_of(SigningSettings), "certificate", set())
    parser.set_defaults(handler=_sign)


def _sign(options: argparse.Namespace) -> int:
    from facepick.render.signing import SigningSettings
    from facepick.settings import from_mapping, to_mapping

    app = make_app()
    values = given(options, SigningSettings)
    if options.off:
        app.set_signing(SigningSettings())
    elif values:
        files = ("certificate", "private_key")
        placed = {k: str(Path(v).absolute()) if k in files else v for k, v in values.items()}
        app.set_signing(from_mapping(SigningSettings, placed))
    settings = app.signing()
    if options.json:
        print_json(to_mapping(settings))
    elif settings.active:
        stamped = f", time stamps from {settings.time_stamp}" if settings.time_stamp else ""
        say(f"Results are signed with {settings.certificate} ({settings.algorithm}){stamped}.")
    else:
        say("Results are not signed. To sign: --certificate CHAIN.pem --private-key KEY.pem")
    return 0
