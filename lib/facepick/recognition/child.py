"""Two photos compared in a process of its own, so that no network is loaded into a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facepick.errors import ToolError, UserInputError

__all__ = ["explain_in_child"]

LIMIT_SECONDS = 120.0
"""Two photos take 2 to 5 s, most of it imports; a cold disk or a busy machine some more."""

# Output that is no sentence for a user must not fill the page.
_MAX_SENTENCE = 600


def explain_in_child(
    a: Path,
    b: Path,
    sheet: Path,
    environment: Mapping[str, str],
    *,
    limit_seconds: float = LIMIT_SECONDS,
) -> dict[str, Any]:
    """``facepick explain A B -o SHEET --json``.

    Args:
        sheet: PNG or JPEG; an existing picture is replaced.
        environment: what the child needs besides this process' own.
        limit_seconds: after which it is killed.

    Returns:
        What the command printed.

    Raises:
        UserInputError: a photo cannot be read, or shows nobody.
        ToolError: a model is missing, the command failed, or the time ran out.
    """
    # Absolute, so that no name of a file is taken for an option.
    words = [str(path.absolute()) for path in (a, b, sheet)]
    argv = [sys.executable, "-m", "facepick", "explain", *words[:2], "-o", words[2], "--force"]
    try:
        done = subprocess.run(
            [*argv, "--json"],
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
            f"The comparison took longer than {limit_seconds:g} s and was stopped.",
            hint="Try again when the machine is less busy, or with smaller photos.",
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("facepick: ")]
        said = lines[-1].removeprefix("facepick: ") if lines else ""
        kind = UserInputError if done.returncode == UserInputError.exit_code else ToolError
        raise kind(said[:_MAX_SENTENCE] or f"The comparison ended with code {done.returncode}.")
    answer = json.loads(done.stdout.splitlines()[-1])
    return dict(answer)
