from __future__ import annotations

import shutil

import pytest

from facepick.errors import SettingsError
from facepick.speech import espeak
from facepick.speech.align import pronounce, words_notices
from facepick.speech.languages import check_language, language_of
from facepick.speech.line import SpeechLine


@pytest.mark.parametrize(
    ("text", "language", "read_as"),
    [
        ("Good morning", "auto", "en-us"), ("Guten Morgen", "de", "de"), ("早上好", "auto", "cmn"),
        ("早上好", "zh", "cmn"), ("早上好", "yue", "yue"), ("ni3 hao3", "cmn", "cmn"),
        ("Good morning", "zh", "en-us"), ("我喜欢 iPhone", "auto", "cmn"),
        ("доброе утро", "auto", "ru"),
        ("добро јутро", "sr", "sr"), ("おはよう世界", "auto", "ja"), ("안녕하세요", "auto", "ko"),
        # No English has these letters.
        ("早上好", "en-us", "cmn"), ("καλημέρα", "de", "el"), ("", "auto", "en-us"),
        ("12:30", "auto", "en-us"),
    ],
)  # fmt: skip
def test_the_letters_tell_the_language(text: str, language: str, read_as: str) -> None:
    assert language_of(text, language) == read_as


@pytest.mark.parametrize(
    "language", ["auto", "en", "en-us", "de", "de-at", "zh", "zh-CN", "cmn", "fr", "pt-br", "piqd"]
)
def test_languages_that_there_are(language: str) -> None:
    check_language(language)


@pytest.mark.parametrize(
    ("language", "near"),
    [
        ("klingon", "piqd (Klingon)"), ("german", "de (German)"), ("chinese", "zh (Chinese)"),
        ("xx", "such as en-us"), ("", "such as en-us"), ("../../etc", "such as en-us"),
        ("engllish", "en (English)"),
    ],
)  # fmt: skip
def test_others_are_refused_with_the_nearest(language: str, near: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_language(language)
    assert near in caught.value.hint


def lines_of(*texts: str | None) -> tuple[SpeechLine, ...]:
    return tuple(SpeechLine(path="a.wav", text=text) for text in texts)


def test_words_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "espeak_found", lambda: "")
    told = words_notices(lines_of("早上好", "Hello", None, "再见", "♪ 12", "привет"), "auto")
    assert [(n.code, n.facts["language"], n.facts["lines"]) for n in told] == [
        ("words_unread", "Chinese (Mandarin)", 2),
        ("words_unread", "Russian", 1),
    ]
    (spelled,) = words_notices(lines_of("Guten Morgen"), "de")
    assert (spelled.code, spelled.facts["language"]) == ("words_spelled", "German")
    assert "pip install espeakng-loader" in spelled.sentence()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_with_espeak_there_is_nothing_to_tell() -> None:
    assert words_notices(lines_of("早上好", "привет"), "auto") == ()
    said = pronounce("早上好", language="zh")
    assert said is not None
    assert said.route == "espeak-ng"
