"""Templates of the page: HTML with everything that comes from outside escaped."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound

from facepick_ui.messages import text

__all__ = ["render"]

FOLDER = Path(__file__).resolve().parent / "templates"


class _Loader(BaseLoader):
    """Reads templates without their line breaks and indentation: those are for editors."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Any]:
        """Read a template by its name."""
        file = FOLDER / template
        if not file.is_file():
            raise TemplateNotFound(template)
        lines = file.read_text(encoding="utf-8").splitlines()
        return "".join(line.strip() for line in lines), str(file), lambda: True


@functools.cache
def _environment() -> Environment:
    return Environment(loader=_Loader(), autoescape=True, undefined=StrictUndefined)


def render(template: str, language: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: name of the file, without ``.html``.
        language: of the words that the template takes with ``t(KEY)``.
        values: what it shows; escaped.
    """
    words = functools.partial(text, language=language)
    return _environment().get_template(f"{template}.html").render(t=words, **values)
