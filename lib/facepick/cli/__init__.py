"""Command line: one module per group of commands, put together by `main`."""

from facepick.cli.main import main

__all__ = ["main"]
