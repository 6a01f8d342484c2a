from __future__ import annotations

from pathlib import Path

import pytest

from facepick.errors import UserInputError
from facepick.speech.rttm import is_rttm, read_rttm, rttm_text
from facepick.speech.script import read_script


def test_turns_are_read_back_as_written() -> None:
    text = rttm_text("my film", [(1.5, 3.02, "Anna Lee"), (4.0, 4.5, None)])
    assert text.splitlines()[0] == ("SPEAKER my_film 1 1.500 1.520 <NA> <NA> Anna_Lee <NA> <NA>")
    assert list(read_rttm("a", text)) == [(1.5, 1.52, "Anna_Lee"), (4.0, 0.5, None)]
    assert is_rttm(text)
    assert not is_rttm("1\n00:00:01,000 --> 00:00:02,000\nSPEAKER of the house\n")


def test_a_list_of_lines_may_be_rttm(tmp_path: Path) -> None:
    file = tmp_path / "a.rttm"
    file.write_text(
        "SPKR-INFO x 1 <NA> <NA> <NA> unknown spk0 <NA> <NA>\n"
        "SPEAKER x 1 2.0 1.0 <NA> <NA> spk1 <NA> <NA>\n"
        "SPEAKER x 1 0.5 1.0 <NA> <NA> spk0 <NA> <NA>\n"
    )
    spans = read_script(file).spans()
    assert [(s.person, s.start, s.end) for s in spans] == [("spk0", 0.5, 1.5), ("spk1", 2.0, 3.0)]


@pytest.mark.parametrize("row", ["SPEAKER x 1 a 1 <NA> <NA> b", "SPEAKER x 1 1 -1 <NA> <NA> b"])
def test_a_row_that_is_no_turn_is_named(row: str) -> None:
    with pytest.raises(UserInputError, match="row 1"):
        list(read_rttm("a.rttm", row))
