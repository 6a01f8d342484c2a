from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pytest

from facepick.errors import NoAudioError, UserInputError, VideoOpenError
from facepick.notices import Notice
from facepick.speech.alphabets import alphabet_of, phones_of
from facepick.speech.line import Timed, Timings
from facepick.speech.script import read_script
from facepick.speech.timings import (
    MAX_BYTES,
    fitted_to,
    read_timings,
    timings_from_json,
    timings_of,
    timings_to_json,
    within,
)

FILES = Path(__file__).parents[1] / "media" / "phones"

HELLO_BROTHER = (
    (0.0, 0.119, "SIL"), (0.119, 0.212, "HH"), (0.212, 0.261, "AH"), (0.261, 0.412, "L"),
    (0.412, 0.62, "OW"), (0.62, 0.729, "B"), (0.729, 0.827, "R"), (0.827, 0.893, "AH"),
    (0.893, 0.94, "DH"), (0.94, 1.097, "ER"), (1.097, 1.317, "SIL"),
)  # fmt: skip
"""What flite says of its own "hello brother"; the TextGrids hold the same."""


def rows(timings: Timings) -> tuple[tuple[float, float, str], ...]:
    return tuple((item.start, item.stop, item.label) for item in timings.phones)


def heard(timings: Timings) -> list[str]:
    return [item.label for item in timings.phones if item.label != "SIL"]


def written(folder: Path, text: str, name: str = "times.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def silent(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * round(16_000 * seconds))
    return path


@pytest.mark.parametrize(
    "name", ["long.TextGrid", "short.TextGrid", "utf16.TextGrid", "flite_psdur.txt"]
)
def test_praat_and_flite(name: str) -> None:
    """ARPAbet and IPA, words and points beside the phones, quotes within quotes."""
    found = read_timings(FILES / name)
    assert rows(found) == HELLO_BROTHER
    assert (found.words, found.notices) == ((), ())


def test_espeak_with_an_english_mbrola_voice() -> None:
    found = read_timings(FILES / "espeak_us1.pho")
    assert " ".join(heard(found)) == "M AY B R AH DH ER P IY D ER B AO T AH M AE P"
    assert found.phones[0] == Timed(0.0, 0.065, "M")
    assert found.phones[7] == Timed(0.387, 0.481, "P")


def test_espeak_with_a_german_mbrola_voice() -> None:
    """Numbers are phones there, and so are a row of pauses between words."""
    found = read_timings(FILES / "espeak_de6.pho")
    said = "P EY T AH M UH HH T AH M IH T Z AY N AH M B R UW D AH T S UH M B AA N HH OW F"
    assert " ".join(heard(found)) == said
    assert found.notices == ()


def test_a_binary_textgrid_says_what_to_do() -> None:
    with pytest.raises(UserInputError, match=r"binary TextGrid") as caught:
        read_timings(FILES / "binary.TextGrid")
    assert "Save as text file" in (caught.value.hint or "")


BABA = ((0.5, 0.6, "B"), (0.6, 0.8, "AA"), (0.8, 0.9, "B"), (0.9, 1.2, "AA"))


@pytest.mark.parametrize(
    "text",
    [
        # Kaldi and MFA: with marks of the place in the word, and a comment.
        ";; made by hand\nutt 1 0.5 0.1 B_B\nutt 1 0.6 0.2 AA1_I 0.98\nutt 1 0.8 0.1 B_I\n"
        "utt 1 0.9 0.3 AA0_E\n",
        # HTK, in 100 ns; scores and words behind.
        '#!MLF!#\n"*/utt.lab"\n5000000 6000000 b -12.5 baba\n6000000 8000000 aa -3\n'
        "8000000 9000000 b\n9000000 12000000 aa\n.\n",
        # Festival: each ends where its row says.
        "signal utt\nnfields 1\n#\n0.5 26 pau ;\n0.6 26 b ;\n0.8 26 aa ;\n0.9 26 b\n1.2 26 aa\n",
        # Audacity, with its row of frequencies and a label without a name.
        "0.0\t0.5\t\n0.5\t0.6\tB\n\\\t100.0\t200.0\n0.6\t0.8\tAA\n0.8\t0.9\tB\n0.9\t1.2\tAA\n",
        # MBROLA, with pitches and a comment.
        "; made by hand\n_ 500\nb 100 0 120\na 200 10 130 90 110\nb 100\na 300\n#\n",
        "_:0.5 b:0.6 a:0.8 b:0.9 a:1.2",
        "Begin,End,Label,Type,Speaker\n0.5,1.2,baba,words,Anna\n0.5,0.6,b,phones,Anna\n"
        "0.6,0.8,ɑː,phones,Anna\n0.8,0.9,b,phones,Anna\n0.9,1.2,ɑ,phones,Anna\n",
        json.dumps(
            [
                {"start": 0.5, "end": 0.6, "phone": "b"},
                {"start": 0.6, "duration": 0.2, "phone": "aa1"},
                # Without a start they follow each other, as samples counted by Piper do.
                {"duration": 0.1, "phone": "b"},
                {"duration": 0.3, "phone": "aa"},
            ]
        ),
        # Gentle: the word that was not found has no time.
        json.dumps(
            {
                "transcript": "well baba",
                "words": [
                    {"case": "not-found-in-audio", "word": "well"},
                    {"case": "success", "alignedWord": "baba", "word": "baba", "start": 0.5,
                     "end": 1.2, "phones": [{"duration": 0.1, "phone": "b_B"},
                                            {"duration": 0.2, "phone": "aa_I"},
                                            {"duration": 0.1, "phone": "b_I"},
                                            {"duration": 0.3, "phone": "aa_E"}]},
                ],
            }
        ),
        # The Montreal Forced Aligner's JSON.
        json.dumps(
            {
                "start": 0,
                "end": 1.5,
                "tiers": {
                    "Anna - words": {"type": "interval", "entries": [[0.5, 1.2, "baba"]]},
                    "Anna - phones": {"type": "interval", "entries": [
                        [0.5, 0.6, "b"], [0.6, 0.8, "ɑ"], [0.8, 0.9, "b"], [0.9, 1.2, "ɑː"]]},
                },
            }
        ),
        # Amazon Polly, in milliseconds; "p" stands for all three.
        '{"time":500,"type":"word","start":0,"end":4,"value":"papa"}\n'
        '{"time":500,"type":"viseme","value":"p"}\n{"time":600,"type":"viseme","value":"a"}\n'
        '{"time":800,"type":"viseme","value":"p"}\n{"time":900,"type":"viseme","value":"a"}\n'
        '{"time":1200,"type":"viseme","value":"sil"}\n',
        # Azure, in 100 ns, however the program that kept the events wrote the names.
        json.dumps(
            [{"audio_offset": t, "viseme_id": v}
             for t, v in ((0, 0), (5e6, 21), (6e6, 2), (8e6, 21), (9e6, 2), (12e6, 0))]
        ),
        json.dumps(
            [{"AudioOffset": t, "VisemeId": v}
             for t, v in ((5e6, 21), (6e6, 2), (8e6, 21), (9e6, 2), (12e6, 0))]
        ),
    ],
    ids=[
        "ctm", "htk", "festival", "audacity", "mbrola", "flite", "mfa-csv", "json", "gentle",
        "mfa-json", "polly", "azure", "azure-csharp",
    ],
)  # fmt: skip
def test_forms(text: str, tmp_path: Path) -> None:
    """Whatever the file is called: its content tells what it is."""
    found = read_timings(written(tmp_path, text))
    said = [(a, b, "B" if p == "P" else p) for a, b, p in rows(found) if p != "SIL"]
    assert [p for _, _, p in said] == [p for _, _, p in BABA]
    assert [t for row in said for t in row[:2]] == pytest.approx(
        [t for row in BABA for t in row[:2]]
    )
    assert (found.words, found.notices) == ((), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            json.dumps(
                {"alignment": {
                    "characters": list("Hi, Bob's"),
                    "character_start_times_seconds": [0, .1, .2, .25, .3, .4, .5, .6, .7],
                    "character_end_times_seconds": [.1, .2, .25, .3, .4, .5, .6, .7, .8],
                }}
            ),
            [Timed(0.0, 0.2, "Hi"), Timed(0.3, 0.8, "Bob's")],
        ),
        (
            json.dumps({"segments": [{"words": [
                {"word": " Hi", "start": 0.0, "end": 0.2},
                {"word": " 2024"},
                {"word": " Bob's", "start": 0.3, "end": 0.8}]}]}),
            [Timed(0.0, 0.2, "Hi"), Timed(0.3, 0.8, "Bob's")],
        ),
        ("utt A 0.0 0.2 hi\nutt A 0.2 0.1 <eps>\nutt A 0.3 0.5 bob's\n",
         [Timed(0.0, 0.2, "hi"), Timed(0.3, 0.8, "bob's")]),
        ("0.0\t0.2\t我\n0.3\t0.8\t妈妈\n", [Timed(0.0, 0.2, "我"), Timed(0.3, 0.8, "妈妈")]),
    ],
    ids=["elevenlabs", "whisper", "ctm", "audacity-hanzi"],
)  # fmt: skip
def test_words_where_there_are_no_phones(text: str, words: list[Timed], tmp_path: Path) -> None:
    found = read_timings(written(tmp_path, text))
    assert (list(found.words), found.phones) == (words, ())


@pytest.mark.parametrize(
    ("symbols", "alphabet", "phones"),
    [
        ("HH AH0 L OW1 sil", "arpabet", "HH AH L OW SIL"),
        ("hh ax l ow dx axr pau bcl b", "arpabet", "HH AH L OW D ER SIL B B"),
        # english_mfa, german_mfa, mandarin_mfa
        ("h ə l ow ɲ aj ʉː tʰ bʲ d̪ ɝ", "ipa", "HH AH L OW N+Y AY UW T B D ER"),
        ("pf ʏ ɔʏ ç øː ɐ ʁ n̩ ts", "ipa", "P+F UH OY HH UH AH R N T+S"),
        ("tɕʰ aj˥˩ ʐ̩˥˩ ɕ ow˨˩˦ y˧˥ pʰ", "ipa", "CH AY ZH SH OW UW P"),
        ("k a s a m e", "ipa", "K AA S AA M EY"),
        # Piper tells stress and length as phones of their own.
        ("^ ˈ ʔ i ː , $", "ipa", "SIL - - IY - - SIL"),
        ("_ p_h r= AI { @U 4 D", "x-sampa", "SIL P ER AY AE OW D DH"),
        ("2: 9 6 OY tS C a~ R H E: x", "x-sampa", "UH UH AH OY CH HH AA R W EH HH"),
        ("r\\ s\\ t`s` dZ 3` i:", "x-sampa", "R SH T+SH JH ER IY"),
        ("zh ong1 g uo2 ni3 hao3 zhuang1 lv4 sp", "pinyin",
         "JH UH+NG G W+AO N+IY HH+AW JH+W+AA+NG L+UW SIL"),
    ],
)  # fmt: skip
def test_alphabets(symbols: str, alphabet: str, phones: str) -> None:
    assert alphabet_of(symbols.split()) == alphabet
    found = [phones_of(symbol, alphabet) for symbol in symbols.split()]
    assert found == [() if p == "-" else tuple(p.split("+")) for p in phones.split()]


@pytest.mark.parametrize("word", ["the", "Brother", "me", "妈妈", "ǂ", "5x"])
def test_words_are_no_phones(word: str) -> None:
    assert phones_of(word, "arpabet") is None
    assert phones_of(word, "ipa") is None


def test_marks_of_length_and_stress_leave_no_hole(tmp_path: Path) -> None:
    """Stress belongs to the sound after it, length to the one before."""
    times = [("ˈ", 0.1), ("b", 0.1), ("ɑ", 0.1), ("ː", 0.2), ("ʔ", 0.1), ("ə", 0.1)]
    text = json.dumps([{"phone": p, "duration": d} for p, d in times])
    found = rows(read_timings(written(tmp_path, text)))
    assert found == ((0.0, 0.2, "B"), (0.2, 0.5, "AA"), (0.5, 0.7, "AH"))


def test_maus_writes_q_for_the_glottal_stop(tmp_path: Path) -> None:
    found = read_timings(
        written(tmp_path, "0 0.05 Q\n0.05 0.2 a:\n0.2 0.3 b\n0.3 0.4 6\n0.4 0.5 <p:>\n")
    )
    assert heard(found) == ["AA", "B", "AH"]
    assert found.phones[0].start == 0.0


def test_what_an_aligner_did_not_know_is_left_to_the_sound(tmp_path: Path) -> None:
    """``spn`` is a word that the dictionary lacks, not silence."""
    found = read_timings(written(tmp_path, "u 1 0 .1 B\nu 1 .1 .2 spn\nu 1 .3 .1 AA1\n"))
    assert rows(found) == ((0.0, 0.1, "B"), (0.3, 0.4, "AA"))
    assert found.notices == ()


def test_a_few_unknown_symbols_are_told(tmp_path: Path) -> None:
    text = "".join(f"u 1 {k / 10} 0.1 {'XQ' if k == 7 else 'AA1'}\n" for k in range(20))
    found = read_timings(written(tmp_path, text))
    assert len(found.phones) == 19
    assert [n.sentence() for n in found.notices] == [
        "times.txt: not known and left to the sound are 'XQ' (1 of 20 phones)."
    ]


def test_many_unknown_symbols_are_an_error(tmp_path: Path) -> None:
    symbols = ["AA1", "B", "D", "K", "XQ", "XZ7"]
    text = "".join(f"u 1 {k / 10} 0.1 {s}\n" for k, s in enumerate(symbols))
    with pytest.raises(UserInputError, match=r"times.txt, line 5: 'XQ' is no phone.*'XZ7'"):
        read_timings(written(tmp_path, text))


def test_rounding_is_forgiven(tmp_path: Path) -> None:
    """Overlaps and gaps of a few milliseconds, any order, empty intervals."""
    text = "u 1 0.200 0.1 AA1\nu 1 0.1 0.105 B\nu 1 0.31 0.1 B\nu 1 0.6 0 AA1\nu 1 0.7 0.1 AA1\n"
    found = rows(read_timings(written(tmp_path, text)))
    assert found == ((0.1, 0.2, "B"), (0.2, 0.31, "AA"), (0.31, 0.41, "B"), (0.7, 0.8, "AA"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n\t\n", "is empty"),
        ("Good morning.", "no known form; its line 1 is 'Good morning.'"),
        ("u 1 nan 0.1 B\n", "line 1: nan to nan s is no time"),
        ("u 1 0.1 inf B\n", "is no time"),
        ("u 1 -0.1 0.1 B\n", "outside of the sound"),
        ("u 1 90000 0.1 B\n", "outside of the sound"),
        ("0.5 0.1 B\n0.6 0.7 AA\n", "line 1: ends before it starts"),
        ("0.1 0.5 B\n0.3 0.6 AA\n", "line 2: 'AA' starts at 0.3 s, while 'B' lasts until 0.5 s"),
        ("a 1 0 .1 B\nb 1 .1 .1 AA\n", "2 recordings: a 1, b 1"),
        ("0 1 sil\n", "no phone and no word"),
        ("[]", "no phone and no word"),
        ("[1, 2]", "entry 1: must be an object"),
        ('[{"start": "x", "end": 1, "phone": "B"}]', "entry 1: 'x' is no time"),
        ('[{"start": 0, "phone": "B"}]', "entry 1: lacks a time"),
        ('[{"start": 0, "end": 1}]', "entry 1: names no phone"),
        ('[{"start": 0, "end": 1e999, "phone": "B"}]', "entry 1: 0 to inf s is no time"),
        ('[{"start": NaN, "end": 1, "phone": "B"}]', "is no time"),
        ('{"audio": 1}', "no phones and no words"),
        ('{"words": [3]}', "word 1: must be an object"),
        ('{"words": [{"word": "a", "start": 0, "end": 1, "phones": [1]}]}', "must be objects"),
        ('[{"viseme_id": 22, "audio_offset": 0}]', "no viseme 22"),
        ('{"characters": ["a"], "character_start_times_seconds": []}', "as many times"),
        ("[" * 100_000, "not JSON|nested too deeply"),
        ("{" , "is not JSON"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <exists> 1\n', "cut off"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <exists> 999999999\n', "cut off"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <exists> nan\n', "cut off"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <absent>\n', "has no tiers"),
        ('"ooTextFile"\n"PitchTier"\n0 1 3\n', "no TextGrid"),
        ("Begin,End,Label,Type,Speaker\n0,1,B,phones,A\n1,2,B,phones,B\n", "2 speakers: A, B"),
        ("Begin,End,Label,Type,Speaker\n0,x,B,phones,A\n", "line 2: 'x' is no time"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_in_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=words) as caught:
        read_timings(written(tmp_path, text))
    assert "\n" not in caught.value.sentence()


def test_wrong_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(b"RIFF\xff\xfe\x00\x80")
    with pytest.raises(UserInputError, match="not UTF-8"):
        read_timings(tmp_path / "sound.wav")
    (tmp_path / "large.ctm").write_bytes(b"u 1 0 1 B\n" * (MAX_BYTES // 10 + 1))
    with pytest.raises(UserInputError, match="larger than 16 MB"):
        read_timings(tmp_path / "large.ctm")
    with pytest.raises(UserInputError, match="There is no file"):
        read_timings(tmp_path / "absent.ctm")
    with pytest.raises(UserInputError, match="folder"):
        read_timings(tmp_path)


def grid(*tiers: tuple[str, str]) -> str:
    """Short form; all labels of a tier last a tenth of a second."""
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "9", "<exists>"]
    out.append(str(len(tiers)))
    for name, labels in tiers:
        names = labels.split()
        out += ['"IntervalTier"', f'"{name}"', "0", "9", str(len(names))]
        for k, label in enumerate(names):
            out += [str(k / 10), str((k + 1) / 10), f'"{label}"']
    return "\n".join(out)


@pytest.mark.parametrize(
    "tiers",
    [
        (("words", "b"), ("Phones", "B AA1")),
        (("ORT-MAU", "ba"), ("KAN-MAU", "ba:"), ("MAU", "b A:")),
        (("Anna - words", "a"), ("Anna - phones", "b ɑ")),
        (("Ebene 1", "Guten Tag"), ("Ebene 2", "b A: sil")),
    ],
)
def test_the_tier_of_phones(tiers: tuple[tuple[str, str], ...], tmp_path: Path) -> None:
    """By its name, or by what is in it."""
    assert heard(read_timings(written(tmp_path, grid(*tiers)))) == ["B", "AA"]


def test_tiers_that_leave_a_doubt(tmp_path: Path) -> None:
    both = grid(("A - phones", "B AA1"), ("B - phones", "B AA1"))
    with pytest.raises(UserInputError, match=r"several tiers of phones: 'A - phones', 'B - ph"):
        read_timings(written(tmp_path, both))
    neither = grid(("one", "hello there"), ("two", "good morning"))
    with pytest.raises(UserInputError, match="cannot be seen; it has: 'one', 'two'"):
        read_timings(written(tmp_path, neither))
    only_words = read_timings(written(tmp_path, grid(("words", "hello there"))))
    assert [item.label for item in only_words.words] == ["hello", "there"]


def test_times_beyond_the_sound(tmp_path: Path) -> None:
    sound = silent(tmp_path / "a.wav", 1.0)
    times = FILES / "flite_psdur.txt"
    found = timings_of(times, silent(tmp_path / "b.wav", 1.317))
    assert rows(found) == HELLO_BROTHER
    assert found.notices == ()
    # A tenth of a second is how much files are padded.
    assert fitted_to(found, 1.0, name="x").notices == ()
    found = timings_of(times, silent(tmp_path / "c.wav", 0.8))
    assert rows(found) == (*HELLO_BROTHER[:6], (0.729, 0.8, "R"))
    assert [n.sentence() for n in found.notices] == [
        "flite_psdur.txt: 4 entries after the end of the sound are left out."
    ]
    with pytest.raises(UserInputError, match=r"speaks until 1.1 s, but the sound ends at 0.4 s"):
        timings_of(times, silent(tmp_path / "d.wav", 0.4))
    with pytest.raises((NoAudioError, VideoOpenError)):
        timings_of(times, written(tmp_path, "no sound", "e.wav"))
    assert sound.is_file()


def test_json_there_and_back() -> None:
    found = read_timings(FILES / "espeak_de6.pho")
    left = Notice(code="phones_after_end", facts={"file": "a.pho", "phones": 1})
    told = Timings(phones=found.phones, notices=(left,))
    stored = json.loads(json.dumps(timings_to_json(told)))
    assert timings_from_json(stored) == told
    # As version 1 stored it.
    old = {"phones": stored["phones"], "notes": ["One is left out."]}
    assert [n.sentence() for n in timings_from_json(old).notices] == ["One is left out."]
    words = Timings(words=(Timed(0.1, 0.2, "i"), Timed(0.3, 0.5, "may")))
    assert timings_from_json(timings_to_json(words)) == words


@pytest.mark.parametrize("data", [3, "x.TextGrid", None, {"phones": "x"}, {"phones": [[0, 1]]}])
def test_json_that_is_none(data: Any) -> None:
    with pytest.raises(UserInputError, match='"phones"'):
        timings_from_json(data)


def test_a_part() -> None:
    found = read_timings(FILES / "flite_psdur.txt")
    part = within(found, 0.65, 0.9)
    assert part is not None
    assert heard(part) == ["B", "R", "AH", "DH"]
    assert within(found, 5.0, None) is None


def test_values_check_themselves() -> None:
    with pytest.raises(ValueError, match=r"lasts from 0\.2 to 0\.1"):
        Timed(0.2, 0.1, "B")
    with pytest.raises(ValueError, match="to nan"):
        Timed(0.0, float("nan"), "B")
    with pytest.raises(ValueError, match="overlap"):
        Timings(phones=(Timed(0.0, 0.2, "B"), Timed(0.1, 0.3, "AA")))


def test_lists_of_lines_name_phones(tmp_path: Path) -> None:
    silent(tmp_path / "one.wav", 1.4)
    (tmp_path / "one.TextGrid").write_bytes((FILES / "utf16.TextGrid").read_bytes())
    entry = {"start": 2, "person": "P1", "file": "one.wav", "phones": "one.TextGrid"}
    listed = written(tmp_path, json.dumps([entry]), "list.json")
    (item,) = read_script(listed, beside=True).lines()
    assert item.line.phones is not None
    assert rows(item.line.phones) == HELLO_BROTHER
    srt = "1\n00:00:02,000 --> 00:00:04,000\nP1: Hi\nfile: one.wav\nphones: one.TextGrid\n"
    (item,) = read_script(written(tmp_path, srt, "list.srt")).lines()
    assert item.line.phones is not None
    assert item.line.text == "Hi"
    for name, words in (("../one.TextGrid", "another folder"), ("two.TextGrid", "no file two")):
        listed = written(tmp_path, json.dumps([{**entry, "phones": name}]), "list.json")
        with pytest.raises(UserInputError, match=words):
            read_script(listed, beside=True).lines()


def test_one_long_recording_with_its_phones(tmp_path: Path) -> None:
    """Each line takes what is said in its own stretch."""
    sound = silent(tmp_path / "all.wav", 1.4)
    srt = (
        "1\n00:00:00,000 --> 00:00:00,600\nA: Hello\n\n"
        "2\n00:00:00,600 --> 00:00:01,300\nB: brother\n"
    )
    lines = read_script(
        written(tmp_path, srt, "list.srt"), audio=sound, phones=FILES / "flite_psdur.txt"
    ).lines()
    said = [heard(item.line.phones) for item in lines if item.line.phones is not None]
    assert said == [["HH", "AH", "L", "OW"], ["OW", "B", "R", "AH", "DH", "ER"]]
