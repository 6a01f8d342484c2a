"""The review page: what it counts, what it shows, and that it stands alone."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.films import scan_of_film, written_film

from facepick.app import App
from facepick.cli import main
from facepick.errors import UserInputError
from facepick.files import json_rows, write_json_rows
from facepick.measure.result_reader import frame_pairs
from facepick.people.selection import Selection
from facepick.progress import never
from facepick.render.plan import Assignment
from facepick.review import words
from facepick.review.moments import StripKeeper, left_alone, worst_moments
from facepick.review.outcomes import Outcomes


def row(frame: int, *changes: dict[str, Any]) -> dict[str, Any]:
    return {"frame": frame, "time": f"{frame}/25", "changes": list(changes)}


def hide(done: bool = True, **more: Any) -> dict[str, Any]:
    told = {"box": [1, 2, 30, 40]} if done else {"reason": "profile"}
    return {"person": "P1", "flow": "hide", "done": done, **told, **more}


def test_outcomes_are_stretches_of_one_state() -> None:
    rows = [row(0), *(row(i, hide()) for i in (1, 2)), *(row(i, hide(False)) for i in (3, 4))]
    rows.append(row(5, hide(False, reason="absent")))
    found = Outcomes.read(rows, 6)
    mine = found.by["P1", "hide"]
    assert [(run.state, run.start, run.stop) for run in mine.runs()] == [
        ("drawn", 1, 3),
        ("profile", 3, 5),
        ("absent", 5, 6),
    ]
    assert [(run.start, run.stop) for run in left_alone(mine)] == [(3, 5)]
    assert found.times.tolist() == [i / 25 for i in range(6)]
    assert [len(r["changes"]) for r in found.rows("hide")] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "rows",
    [
        [{"frame": 0}],
        [{**row(0), "time": "1/0"}],
        [row(9)],
        [row(0, {"person": "P1"})],
        [{**row(0), "changes": [7]}],
    ],
)
def test_frames_that_are_none_are_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(UserInputError, match="damaged"):
        Outcomes.read(rows, 3)


def test_the_worst_moments_are_apart_and_in_order() -> None:
    rows = [row(i, hide(not 100 <= i < 150, guessed=200 <= i < 240)) for i in range(500)]
    restless = np.zeros(500, np.float32)
    restless[[300, 301, 302, 400]] = 5, 9, 4, 3
    found = Outcomes.read(rows, 500)
    moments = worst_moments(found.by["P1", "hide"], restless, found.times)
    assert [(m.frame, m.why) for m in moments] == [
        (100, "left"),
        (220, "guessed"),
        (301, "restless"),
        (400, "restless"),
    ]
    assert moments[0].seconds == pytest.approx(2.0)


def test_every_sentence_is_there_in_both_languages_with_the_same_facts() -> None:
    found = json.loads((Path(words.__file__).parent / "data/words.json").read_text("utf-8"))

    def facts(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, entry in found.items():
        assert set(entry) == set(words.LANGUAGES), key
        assert facts(entry["en"]) == facts(entry["zh"]), key
        assert re.search("[\u4e00-\u9fff]", entry["zh"]) or key in ("of", "setting"), key


def test_every_setting_of_an_engine_is_said_in_chinese_and_files_by_their_names(app: App) -> None:
    from facepick.settings import fields_of

    labels = {f.ui.label for e in app.registry.all() for f in fields_of(e.spec.settings)}
    assert {"Shape", "Least confidence"} < labels
    for label in labels:
        said = words.setting_in("zh", label, 1)
        assert said != f"{label}：1"
        assert re.search("[\u4e00-\u9fff]", said)
    assert words.setting_in("zh", "Shape", "head") == "形状：整个头部"
    assert words.setting_in("en", "Picture", Path("/home/me/star.png")) == "Picture: star.png"
    assert words.setting_in("zh", "Own of a guest", False) == "Own of a guest：否"


def test_rows_are_read_one_by_one_over_the_ends_of_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(i, hide(note="a ] and a }, then")) for i in range(40)]
    write_json_rows(tmp_path / "rows.json", rows)
    monkeypatch.setattr("facepick.files._CHUNK", 37)
    assert list(json_rows(tmp_path / "rows.json")) == rows
    (tmp_path / "cut.json").write_bytes((tmp_path / "rows.json").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        list(json_rows(tmp_path / "cut.json"))


# --- whole pages -------------------------------------------------------------------------------


class _Seen(HTMLParser):
    """Everything that a page would load, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "background"):
                self.loads.append(str(value))
            if name == "href":
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


NAME = "<img src=x onerror=alert(1)> \u202e&\"'.mkv"


@pytest.mark.slow
def test_a_hidden_face_has_a_page_that_stands_alone(
    app: App, odd: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from facepick.media.encode import EncodeSettings

    out = tmp_path / NAME
    plan = app.make_plan(
        odd("base_640x360.mp4"),
        [Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate")],
        encode=EncodeSettings(quality=0),
    )
    record = app.run(app.new_render_job(plan, out))
    review = tmp_path / f"{NAME}.review.html"
    assert record.result["review"] == str(review)
    assert app.inspect(out)["result"]["review"] == review.name
    page = review.read_text(encoding="utf-8")
    seen = _Seen(page)
    assert "150 of 150 frames" in seen.text
    # Only what is there is explained.
    assert re.findall('<p class="soft key">(.*)</p>', page)[0].count("<span") == 1
    assert "nothing differs from the original, in any of the 150 frames" in seen.text
    assert NAME.replace("\u202e", "\\u202e") in seen.text
    assert seen.tags.isdisjoint({"script", "iframe", "link", "object", "video"})
    assert seen.loads
    assert all(address.startswith("data:image/jpeg;base64,") for address in seen.loads)
    assert all(address.startswith("./%3Cimg") for address in seen.links)
    assert "before" not in re.findall("<span>(\\w+)</span><img", page), "what was hidden stays so"

    # Made anew by the command, in Chinese, with what was hidden.
    other = tmp_path / "zh.html"
    words = ("review", out, "-o", other, "--language", "zh", "--show-hidden", "--progress", "none")
    assert main([str(w) for w in words]) == 0
    page = other.read_text(encoding="utf-8")
    assert "遮脸" in page
    assert "之前" in re.findall("<span>(\\w+)</span><img", page)
    other.write_text("mine")
    assert main([str(w) for w in words]) == 2, "what is not ours is not overwritten"
    capsys.readouterr()

    # The next result takes the page's place, or takes it away.
    assert app.run(app.new_render_job(plan, out, force=True)).result["review"] == str(review)
    from dataclasses import replace

    without = replace(plan, output=replace(plan.output, review="off"))
    assert app.run(app.new_render_job(without, out, force=True)).result["review"] is None
    assert not review.exists()


@pytest.mark.slow
def test_lines_and_lips_are_told_and_a_lossy_encoder_is_named(
    app: App, odd: Callable[[str], Path], shared_media: Path, tmp_path: Path
) -> None:
    from facepick.speech.line import SpeechLine

    line = SpeechLine(
        path=str(shared_media / "speech/en_ljspeech_f_22k.wav"),
        start_seconds=0.5,
        text="<b>Printing</b>",
    )
    plan = app.make_plan(
        odd("base_640x360.mp4"),
        [
            Assignment(
                selection=Selection(("P1",)), flow="lipsync", engine="rewrite", speech=(line,)
            )
        ],
    )
    out = tmp_path / "out.mp4"
    record = app.run(app.new_render_job(plan, out))
    page = Path(record.result["review"]).read_text(encoding="utf-8")
    seen = _Seen(page)
    assert "Lips re-synced" in seen.text
    assert "<b>Printing</b>" in seen.text
    assert "./out.mp4#t=0.500" in seen.links
    assert "Lips follow" in seen.text
    drift = re.search(r"brightness differs by ([\d.]+) on average", seen.text)
    assert drift is not None
    assert 0 < float(drift[1]) < 3
    assert "Compressing a video anew" in seen.text or "what compressing it anew does" in seen.text
    assert " --" not in seen.text.partition("To look at")[2]
    assert len(page) < 5_000_000


def test_strips_kept_on_the_way_are_those_that_would_be_read_again(tmp_path: Path) -> None:
    film = written_film(tmp_path / "a.mp4", None, frames=60)
    scan = scan_of_film(film)
    rows = [row(i, hide(box=[10, 12, 30, 40])) for i in range(60)]
    found = Outcomes.read(rows, 60)
    key = ("P1", "hide")
    restless = {key: np.linspace(1, 2, 60, dtype=np.float32)}
    keepers = [StripKeeper(scan, found, first=0, frames=60, show_hidden=True) for _ in range(2)]
    pts = []
    for new, old in frame_pairs(film, scan, (0, 60), never):
        pts.append(new.time.pts)
        keepers[0].add(new.index, new.picture, old.picture, restless)
    chosen = {key: [m.frame for m in worst_moments(found.by[key], restless[key], found.times)]}
    assert len(chosen[key]) > 1
    assert 59 in chosen[key]
    kept = keepers[0].strips(tmp_path / "gone.mp4", pts[:60], {key: [59]})
    again = keepers[1].strips(film, pts, chosen)
    assert kept[(*key, 59)] == again[(*key, 59)]
    assert again[(*key, 59)].frames == (55, 56, 57, 58, 59)
    assert {k[2] for k in again} == set(chosen[key])
    # All of them, some kept and some read again.
    assert keepers[0].strips(film, pts, chosen) == again
