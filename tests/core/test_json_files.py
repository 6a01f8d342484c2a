"""JSON that comes from outside."""

from __future__ import annotations

import pytest

from facepick.files import parsed_json


def test_a_mark_before_utf8_is_no_fault() -> None:
    assert parsed_json(b"\xef\xbb\xbf" + '{"name": "李"}'.encode()) == {"name": "李"}


def test_half_a_character_is_refused_and_a_pair_is_not() -> None:
    with pytest.raises(ValueError, match="half a character"):
        parsed_json(b'{"name": "\\ud800"}', strict_text=True)
    assert parsed_json(b'["\\ud83d\\ude00"]', strict_text=True) == ["\U0001f600"]
    assert parsed_json(b'["\\udcff.mp4"]') == ["\udcff.mp4"], "a file name that is no text"


def test_too_many_values_are_not_read() -> None:
    with pytest.raises(ValueError, match="more than 10 values"):
        parsed_json(b"[" + b"1," * 20 + b"1]", max_values=10)
