"""Notices are typed: every one has a sentence in both languages, and comes back from JSON."""

from __future__ import annotations

import json
import re
import string

import pytest

from facepick.cli.console import tell
from facepick.notices import SENTENCES, Notice, as_notices, notices_of_result
from facepick_ui.messages import LANGUAGES


def facts_of(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def example(code: str) -> Notice:
    numbers = {
        "seconds": 1.25,
        "end": 9.0,
        "lines": 3,
        "phones": 2,
        "all": 30,
        "parts": 4,
        "factor": 1.5,
    }
    facts = {name: numbers.get(name, f"<{name}>") for name in facts_of(SENTENCES[code]) - {"start"}}
    return Notice(code=code, facts=facts, person="P1", start=1.5)


@pytest.mark.parametrize("code", SENTENCES)
def test_every_notice_has_its_words(code: str) -> None:
    notice = example(code)
    for language in LANGUAGES:
        assert "{" not in notice.sentence(language) + notice.plain(language)
        # Who reads a page types no commands.
        assert not re.search(r"(^| )--\w|facepick \w+ [A-Z]+", notice.plain(language))
    if code != "other":
        assert notice.sentence("zh") != notice.sentence()
    assert notice.sentence("xx") == notice.sentence()
    assert Notice.from_json(json.loads(json.dumps(notice.to_json()))) == notice


@pytest.mark.parametrize(
    "data",
    [
        "words", 7, None, {"text": "words"}, {"code": "of a later version", "text": "words"},
        {"code": "speech_cut", "text": "words"}, {"code": "other", "facts": {"text": []}},
        {"code": "speech_cut", "facts": {"seconds": "x", "file": "a"}, "text": "words"},
        {"code": "no_voice", "facts": 7, "text": "words", "person": 3, "start": "now"},
    ],
)  # fmt: skip
def test_what_is_not_known_keeps_its_words(data: object) -> None:
    (notice,) = as_notices([data])
    assert notice.code == "other"
    assert notice.sentence() in ("words", "7", "None", "")


def test_a_notice_must_be_whole() -> None:
    with pytest.raises(ValueError, match="no notice 'speech'"):
        Notice(code="speech")
    with pytest.raises(ValueError, match="lacks"):
        Notice(code="speech_cut", facts={"file": "a.wav"})


def test_results_of_before_there_were_notices() -> None:
    old = {
        "unheard": [{"file": "a.wav", "people": ["P1"], "start": 1.0, "seconds": 2.0}],
        "left_out": ["subtitles (pgs)"],
    }
    assert [n.code for n in notices_of_result(old)] == ["speech_cut", "stream_left_out"]
    shut = {"changed": {"P2 lipsync": 9, "P2 hide": 3}, "closed": {"P2 lipsync": 9}}
    assert [(n.code, n.person) for n in notices_of_result(shut)] == [("no_voice", "P2")]
    assert notices_of_result({}) == ()
    assert notices_of_result({**old, "notices": []}) == ()


def test_many_alike_do_not_hide_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """Of two hundred lines of somebody who is off screen the terminal names the first."""
    away = [
        Notice(code="line_off_screen", start=float(k), facts={"who": "P1", "seconds": 1.0})
        for k in range(200)
    ]
    tell([*away, example("no_voice")])
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 10
    assert told[8] == "facepick: ... and 192 more like that, in the report."
    assert "no voice" in told[9]
    tell(away, "jsonl")
    assert len(capsys.readouterr().out.splitlines()) == 200
