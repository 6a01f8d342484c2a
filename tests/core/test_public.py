"""The public names, and the examples in docstrings: they run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import facepick

LIB = Path(__file__).resolve().parents[2] / "lib"
NAMES = {"App", "Assignment", "RenderPlan", "ScanSettings", "Selection", "find_people"}
EXAMPLES = sorted(
    ".".join(path.relative_to(LIB).with_suffix("").parts).removesuffix(".__init__")
    for path in LIB.rglob("*.py")
    if "    >>> " in path.read_text(encoding="utf-8")
)


def test_the_public_names() -> None:
    assert set(facepick.__all__) == NAMES | {"__version__"}
    assert set(dir(facepick)) >= NAMES
    for name in NAMES:
        assert ">>> from facepick import" in (inspect.getdoc(getattr(facepick, name)) or ""), name
    with pytest.raises(AttributeError, match="nothing"):
        facepick.nothing  # noqa: B018
    # Type checkers see the same.
    stub = (LIB / "facepick" / "__init__.pyi").read_text(encoding="utf-8")
    assert all(f"import {name} as {name}" in stub for name in NAMES)


@pytest.mark.parametrize("module", [*EXAMPLES, "facepick"])
def test_examples_in_docstrings_run(
    module: str,
    odd: Callable[[str], Path],
    shared_models: Path,
    people_known: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    shutil.copy(odd("base_640x360.mp4"), tmp_path / "interview.mp4")
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0
