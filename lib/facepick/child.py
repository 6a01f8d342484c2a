"""Commands of facepick in a process of their own, so that no network is loaded into a host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from facepick.errors import ToolError, UserInputError
from facepick.programs import python_module

__all__ = ["json_command"]

# Output that is no sentence for a user must not fill the page.
_MAX_SENTENCE = 600


def json_command(
    words: Sequence[str], environment: Mapping[str, str], *, limit_seconds: float, what: str
) -> Any:
    """Run ``facepick WORDS...``, a command that prints JSON.

    Args:
        words: command, options and arguments; file names absolute, so that none is taken for an
            option.
        environment: what the child needs besides this process' own.
        limit_seconds: after which it is killed.
        what: what it does, as the start of a sentence: "The comparison".

    Returns:
        The last line that it printed, read as JSON.

    Raises:
        UserInputError: the command refused what it was given.
        ToolError: a model is missing, the command failed, or the time ran out.
    """
    try:
        done = subprocess.run(
            python_module("facepick", *words),
            env={**os.environ, **environment, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{what} took longer than {limit_seconds:g} s and was stopped.",
            hint="Try again when the machine is less busy, or with smaller files.",
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("facepick: ")]
        said = lines[-1].removeprefix("facepick: ") if lines else ""
        kind = UserInputError if done.returncode == UserInputError.exit_code else ToolError
        raise kind(said[:_MAX_SENTENCE] or f"{what} ended with code {done.returncode}.")
    return json.loads(done.stdout.splitlines()[-1])
