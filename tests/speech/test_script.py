from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from facepick.errors import UserInputError
from facepick.speech.script import read_script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.wav", "zwei drei.wav", "all.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    return tmp_path


def listed(folder: Path, content: Any, name: str = "list.json") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_json(folder: Path) -> None:
    path = listed(
        folder,
        [
            {"start": "00:00:04,200", "person": "Änna", "file": "zwei drei.wav", "offset": 0.3},
            {"start": 1.5, "person": "P1", "file": "one.wav", "text": "Good morning.", "end": 3},
        ],
    )
    first, second = read_script(path).lines()
    assert first.person == "P1"
    assert first.line.path == str(folder / "one.wav")
    assert (first.line.start_seconds, first.line.duration_seconds) == (1.5, 1.5)
    assert first.line.text == "Good morning."
    assert second.person == "Änna"
    assert second.line.start_seconds == pytest.approx(4.2)
    assert (second.line.offset_seconds, second.line.duration_seconds) == (0.3, None)
    assert second.line.text is None


SRT = """\ufeff1
00:00:01,500 --> 00:00:03,000
P1: Good <i>morning</i>.
file: one.wav

2
00:01:04,200 --> 00:01:05.700
[李明]: 你好，世界
今天

3
00:02:00,000 --> 00:02:01,000
Meet me at 12:30, not before.
"""


def test_srt_with_one_long_sound_file(folder: Path) -> None:
    lines = read_script(
        listed(folder, SRT.replace("\n", "\r\n"), "a.srt"), audio=folder / "all.wav"
    ).lines()
    assert [item.person for item in lines] == ["P1", "李明", None]
    assert [item.line.text for item in lines] == [
        "Good morning.",
        "你好，世界 今天",
        "Meet me at 12:30, not before.",
    ]
    own, cue, last = (item.line for item in lines)
    assert own.path == str(folder / "one.wav")
    assert (own.start_seconds, own.offset_seconds, own.duration_seconds) == (1.5, 0.0, None)
    assert cue.path == str(folder / "all.wav")
    assert (cue.start_seconds, cue.offset_seconds) == (64.2, 64.2)
    assert cue.duration_seconds == pytest.approx(1.5)
    assert last.start_seconds == 120


def test_utf_16(folder: Path) -> None:
    path = folder / "a.srt"
    path.write_bytes(SRT.lstrip("\ufeff").encode("utf-16"))
    assert read_script(path, audio=folder / "all.wav").lines()[1].person == "李明"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "not JSON"),
        ("{}", "list of lines"),
        ([], "holds no line"),
        ([3], "line 1: must be an object"),
        ([{"file": "one.wav"}], '"start" is missing'),
        ([{"start": 0, "file": "one.wav"}, {"start": -1, "file": "one.wav"}], "line 2"),
        ([{"start": "soon", "file": "one.wav"}], "'soon', which is no time"),
        ([{"start": float("nan"), "file": "one.wav"}], "no time"),
        ([{"start": True, "file": "one.wav"}], "no time"),
        ([{"start": 1, "end": 1, "file": "one.wav"}], "before it starts"),
        ([{"start": 1, "duration": 0, "file": "one.wav"}], "lasts 0"),
        ([{"start": 1, "file": 7}], '"file" must be a text'),
        ([{"start": 1, "file": "none.wav"}], "there is no file"),
        ([{"start": 1}], "names no sound file"),
        ([{"start": 1, "file": "one.wav", "begin": 2}], "unknown key 'begin'"),
    ],
)
def test_wrong_json_is_named(folder: Path, content: Any, words: str) -> None:
    with pytest.raises(UserInputError) as caught:
        read_script(listed(folder, content)).lines()
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no line"),
        ("1\nhello\n", "cue 1: 'hello' is no time line"),
        ("1\n00:00:02,000 --> 00:00:01,000\nhi\n", "before it starts"),
        ("7\n00:00:xx,000 --> 00:00:01,000\nhi\n", "cue 7"),
        ("1\n00:00:01,000 --> 00:00:02,000\nP1: hi\n", "names no sound file"),
    ],
)
def test_wrong_srt_is_named(folder: Path, content: str, words: str) -> None:
    with pytest.raises(UserInputError) as caught:
        read_script(listed(folder, content, "a.srt")).lines()
    assert words in caught.value.message


def test_other_files(folder: Path) -> None:
    with pytest.raises(UserInputError, match="cannot be read"):
        read_script(folder / "nothing.srt")
    binary = folder / "a.srt"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserInputError, match="not UTF-8"):
        read_script(binary)
    binary.write_bytes(b" " * 5_000_001)
    with pytest.raises(UserInputError, match="larger than"):
        read_script(binary)


def srt(*cues: str) -> str:
    """A cue every three seconds, two seconds long."""
    return "\n".join(
        f"{n}\n00:00:{3 * n:02},000 --> 00:00:{3 * n + 2:02},000\n{cue}\n"
        for n, cue in enumerate(cues, 1)
    )


def said(
    folder: Path, text: str | bytes, name: str = "a.srt", known: Sequence[str] = ()
) -> list[tuple[str | None, str | None]]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    lines = read_script(path, audio=folder / "all.wav").lines(known)
    return [(item.person, item.line.text) for item in lines]


@pytest.mark.parametrize(
    "cue",
    [
        "Anna: hi", "anna : hi", "Anna：hi", "[Anna] hi", "[Anna]: hi", "- Anna: hi", "- [Anna] hi",
        "<v Anna>hi</v>", "<v.loud Anna>hi", "Anna:\nhi", "[Anna]\nhi", "【Anna】hi",
        "<i>Anna:</i> hi", "{\\an8}Anna: hi", "<font color='#fff'>Anna: hi</font>",
    ],
)  # fmt: skip
def test_a_name_is_written_in_many_ways(folder: Path, cue: str) -> None:
    # Among cues without a name only a known one is believed.
    ((who, words), *_) = said(folder, srt(cue, "nothing", "more"), known=["Anna", "Bob"])
    assert (str(who).lower(), words) == ("anna", "hi")


@pytest.mark.parametrize(
    "cue",
    [
        "At 10: go", "10:30 is late", "Meet me at 10:30: now", "Warning: hot", "[applause]",
        "[door slams] Who is there?", "http://a.example/b", "He said, then: no", "- No.", "a < b",
        "Listen:30", "One two three four five six: seven",
    ],
)  # fmt: skip
def test_words_are_no_name(folder: Path, cue: str) -> None:
    kept = cue.removeprefix("- ")
    found = said(folder, srt(cue, "nothing", "more"), known=["Anna"])
    assert found == [(None, kept), (None, "nothing"), (None, "more")]


def test_names_are_believed_where_most_cues_have_one(folder: Path) -> None:
    text = srt("Anna: one", "Bob: two", "at 10: go", "Narrator: three", "and so on")
    assert said(folder, text) == [
        ("Anna", "one"),
        ("Bob", "two"),
        (None, "at 10: go"),
        ("Narrator", "three"),
        (None, "and so on"),
    ]
    numbered = srt("Speaker 1: a", "Speaker 2: b", "说话人1：c", "说话人2：d")
    assert [who for who, _ in said(folder, numbered)] == [
        "Speaker 1", "Speaker 2", "说话人1", "说话人2",
    ]  # fmt: skip


def test_what_is_taken_for_words_is_told(folder: Path) -> None:
    path = listed(folder, srt("Warning: hot", "nothing", "more", "Anna: hi"), "a.srt")
    script = read_script(path, audio=folder / "all.wav")
    (notice,) = script.notices(["anna"])
    assert (notice.code, notice.facts["lines"], notice.facts["names"]) == (
        "names_as_words", 1, "Warning",
    )  # fmt: skip
    assert script.notices(["anna", "warning"]) == ()


def test_several_people_share_the_time_of_a_cue(folder: Path) -> None:
    cues = srt(
        "- Hi.\n- How are you today?",
        "<v Anna>One two</v> <v Bob>three</v>",
        "Anna: 你好吗\n朋友\nBob：好",
        "- I think\nso",
        "-5 degrees\nis cold",
        "Anna: one\nAnna: two",
    )
    path = listed(folder, cues, "a.srt")
    script = read_script(path, audio=folder / "all.wav")
    lines = [
        (i.person, i.line.text, i.line.start_seconds, i.line.duration_seconds)
        for i in script.lines(["Anna", "Bob"])
    ]
    assert lines == [
        (None, "Hi.", 3.0, 0.4),
        (None, "How are you today?", 3.4, 1.6),
        ("Anna", "One two", 6.0, 1.333),
        ("Bob", "three", 7.333, 0.667),
        ("Anna", "你好吗 朋友", 9.0, 1.667),
        ("Bob", "好", 10.667, 0.333),
        (None, "I think so", 12.0, 2.0),
        (None, "-5 degrees is cold", 15.0, 2.0),
        ("Anna", "one two", 18.0, 2.0),
    ]
    (notice,) = script.notices(["Anna", "Bob"])
    assert (notice.code, notice.facts["lines"]) == ("cues_shared", 3)
    with pytest.raises(UserInputError, match="2 people speak in it, and it names one file"):
        said(folder, srt("- a\n- b\nfile: one.wav"))


def test_cues_without_a_blank_row_between_them(folder: Path) -> None:
    text = srt("one", "two", "3 o'clock").replace("\n\n", "\n")
    assert [words for _, words in said(folder, text)] == ["one", "two", "3 o'clock"]


VTT = """WEBVTT - a title

NOTE nobody says
this

STYLE
::cue { color: red }

greeting
00:01.000 --> 00:03.000 align:start position:10%
<v Anna>Good <i>morning</i> &amp; hello</v>

01:00:01.500 --> 01:00:02.500
plain <00:00:01.500><c.yellow>karaoke</c>
"""


def test_webvtt(folder: Path) -> None:
    path = listed(folder, VTT, "a.vtt")
    one, two = read_script(path, audio=folder / "all.wav").lines()
    assert (one.person, one.line.text) == ("Anna", "Good morning & hello")
    assert (one.line.start_seconds, one.line.duration_seconds) == (1.0, 2.0)
    assert (two.person, two.line.text, two.line.start_seconds) == (None, "plain karaoke", 3601.5)


ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20
Style: Bob,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 1,0:00:01.00,0:00:03.00,Default,Anna,0,0,0,,{\\an8\\b1}Hello{\\b0}, \\Nyou
Dialogue: 0,0:00:01.00,0:00:03.00,Default,Anna,0,0,0,,{\\an8\\b1}Hello{\\b0}, \\Nyou
Dialogue: 0,0:00:02.00,0:00:04.00,Bob,,0,0,0,,over, lap
Comment: 0,0:00:02.00,0:00:04.00,Bob,,0,0,0,,nobody says this
Dialogue: 0,0:00:02.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}
"""


def test_ass_names_by_the_actor_and_by_a_style_that_somebody_is_called(folder: Path) -> None:
    # A text and its shadow are one line; overlapping ones are two.
    assert said(folder, ASS, "a.ass") == [("Anna", "Hello, you"), (None, "over, lap")]
    assert said(folder, ASS, "a.ass", ["bob"])[1] == ("Bob", "over, lap")
    ssa = (
        ASS.replace("V4+ Styles", "V4 Styles").replace("v4.00+", "v4.00").replace("Layer", "Marked")
    )
    assert said(folder, ssa, "a.ssa") == [("Anna", "Hello, you"), (None, "over, lap")]


def test_further_formats_that_are_read(folder: Path) -> None:
    assert said(folder, "{1}{1}25\n{25}{50}Anna: Hi|there\n", "a.sub", ["anna"]) == [
        ("Anna", "Hi there")
    ]
    assert said(folder, "[10][30]/Hi|there\n", "a.txt") == [(None, "Hi there")]


CHINESE = srt("李明：你好，今天我们去哪里？", "王芳：我也不知道，你说呢")


@pytest.mark.parametrize(
    "coding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030", "big5"],
)
def test_encodings(folder: Path, coding: str) -> None:
    text = CHINESE
    if coding == "big5":
        text = srt("李明：你好，今天我們去哪裡？", "王芳：我也不知道，你說呢")
    for ends in ("\n", "\r\n"):
        found = said(folder, text.replace("\n", ends).encode(coding))
        assert [who for who, _ in found] == ["李明", "王芳"]


@pytest.mark.parametrize(
    ("coding", "text"),
    [
        ("cp1252", "Café, déjà vu"), ("cp1251", "Привет, как дела"),
        ("shift_jis", "こんにちは世界"),
        ("euc_jp", "こんにちは、元気ですか"), ("euc_kr", "안녕하세요 오늘은"), ("cp1250", "Zażółć"),
    ],
)  # fmt: skip
def test_encodings_that_cannot_be_told_are_refused(folder: Path, coding: str, text: str) -> None:
    with pytest.raises(UserInputError, match="is not UTF-8 text"):
        said(folder, srt(text).encode(coding))


def word_file() -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return held.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x20ftypisom" + bytes(400), "a video (MP4, MOV)"),
        (b"\x1aE\xdf\xa3" + bytes(90), "a video (Matroska or WebM)"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a sound (WAV)"),
        (b"ID3\x04" + bytes(90), "a sound (MP3)"),
        (b"\xff\xfb\x90\0" + bytes(90), "a sound (MP3)"),
        (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
        (b"%PDF-1.7", "a PDF"),
        (word_file(), "a Word document (docx)"),
        (b"[ti:song]\n[00:12.00]la la\n", "LRC lyrics"),
        (b'<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"/>', "TTML subtitles"),
        (b"<SAMI><BODY>", "SAMI subtitles"),
        (b"00:00:01:Hello\n", "TMPlayer subtitles"),
        (b'File type = "ooTextFile"\n', "a TextGrid"),
        (b'{"format": "facepick-plan/1"}', "a plan of facepick"),
        (b"Dear diary,\nhello\n", "a text without times"),
        (b"# VobSub index file, v7\n", "VobSub"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_wrong_kind_of_file_is_named(folder: Path, data: bytes, kind: str) -> None:
    path = folder / "a.srt"
    path.write_bytes(data)
    with pytest.raises(UserInputError) as caught:
        read_script(path)
    assert caught.value.message.startswith("a.srt is ")
    assert kind in caught.value.message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.vtt", "WEBVTT\n\n00:03.000 --> 00:02.000\nhi\n", "before it starts"),
        (
            "a.vtt",
            "WEBVTT\n\n00:01.000 --> 00:02.000\na\n\none\n00:03 -> 00:04\nhi\n",
            "no time line",
        ),
        ("a.srt", srt("hi").replace("00:00:03", "-00:00:03"), "'-00:00:03,000' is no time"),
        ("a.srt", srt("hi").replace("00:00:03", "00:99:03"), "'00:99:03,000' is no time"),
        ("a.srt", srt("hi").replace("00:00:05", "31:00:05"), "ends at 111605 s"),
        ("a.ass", ASS.replace("0:00:01.00", "-0:00:01.00"), "before the video"),
        ("a.ass", ASS.replace("0:00:03.00", "0:00:00.50"), "before it starts"),
        ("a.ass", ASS.replace("0:00:01.00", "nan"), "is damaged"),
        ("a.sub", "{25}{50}Hi\n", "does not say how many a second"),
        ("a.sub", "{1}{1}nan\n{25}{50}Hi\n", "is damaged"),
        ("a.json", '[{"start": 1' + "0" * 400 + ', "file": "one.wav"}]', "which is no time"),
        ("a.srt", srt(*["hi"] * 3) * 4000, "12000 lines; 10000 are allowed"),
    ],
)
def test_limits_and_times_that_cannot_be(folder: Path, name: str, text: str, words: str) -> None:
    path = listed(folder, text, name)
    with pytest.raises(UserInputError) as caught:
        read_script(path)
    assert words in caught.value.message


def test_broken_files_are_refused_in_words(folder: Path) -> None:
    """Cut, doubled and scrambled bytes of good files: read, or refused with a sentence."""
    chance = random.Random(7)
    told: list[str] = []
    good = {
        "a.srt": SRT.encode(), "b.srt": CHINESE.encode("gbk"), "a.vtt": VTT.encode(),
        "a.ass": ASS.encode(), "a.sub": b"{1}{1}25\n{25}{50}Hi|there\n",
        "a.json": b'[{"start": 1, "end": 2, "person": "P1", "file": "one.wav"}]',
    }  # fmt: skip
    for name, data in good.items():
        for _ in range(60):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(broken))
                cut = broken[at : at + chance.randint(1, 12)]
                change = chance.choice((b"", cut * 2, bytes(chance.randbytes(3)), cut[::-1]))
                broken[at : at + len(cut)] = change
            path = folder / name
            path.write_bytes(broken)
            try:
                script = read_script(path, audio=folder / "all.wav")
                lines = script.lines(["P1"])
                script.notices(["P1"])
            except UserInputError as refused:
                told.append(refused.message)
            else:
                assert all(
                    0 <= item.line.start_seconds < 1e6 and (item.line.duration_seconds or 1) > 0
                    for item in lines
                )
    assert len(told) > 100
    assert all(message.startswith(tuple(good)) for message in told)
