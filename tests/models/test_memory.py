"""What is free on a graphics card, asked of the driver's own program."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from facepick.models.memory import CardMemory, card_memory, estimated_need


def test_the_first_visible_card_is_asked() -> None:
    asked: list[Sequence[str]] = []

    def ask(argv: Sequence[str]) -> str:
        asked.append(argv)
        return "1024, 8192\n"

    found = card_memory(environment={"CUDA_VISIBLE_DEVICES": "2,0"}, ask=ask)
    assert found == CardMemory(2**30, 2**33)
    assert asked[0][0] == "nvidia-smi"
    assert asked[0][-1] == "--id=2"


@pytest.mark.parametrize("said", ["", "[N/A], [N/A]", "No devices were found", "1"])
def test_an_answer_without_numbers_is_none(said: str) -> None:
    assert card_memory(environment={}, ask=lambda _: said) is None


@pytest.mark.parametrize(
    "error", [OSError("gone"), subprocess.TimeoutExpired("nvidia-smi", 3)], ids=["gone", "hangs"]
)
def test_a_driver_that_fails_is_none(error: Exception) -> None:
    def ask(_: Sequence[str]) -> str:
        raise error

    assert card_memory(environment={}, ask=ask) is None


def test_hidden_cards_are_none() -> None:
    for hidden in ("", "-1"):
        assert card_memory(environment={"CUDA_VISIBLE_DEVICES": hidden}, ask=lambda _: "") is None


def test_the_need_grows_with_the_networks() -> None:
    assert estimated_need([436 * 10**6]) > estimated_need([10**6]) > 500 * 10**6
