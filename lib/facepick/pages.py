"""Pages that stand alone beside results: their style, and how a template is filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.text import printable

__all__ = ["filled"]

STYLE = Path(__file__).parent / "data" / "page.css"


def filled(template: Path, **values: Any) -> str:
    """Fill a jinja template; text is escaped, and ``style`` is what all pages look like.

    Args:
        template: the file; it may include those beside it.

    Raises:
        jinja2.UndefinedError: it names a value that is not given.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        # Names of people and files may hold letters that turn words round.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    style = Markup(STYLE.read_text(encoding="utf-8"))
    return environment.get_template(template.name).render(style=style, **values)
