"""The plan: JSON both ways, and one sentence for what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.films import written_film
from tests.render.test_geometry import scan_of, track
from tests.sounds import silent_wav

from facepick.engines.registry import default_registry
from facepick.errors import ConsentRequired, FacepickError, SelectionError, UserInputError
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import SpeechLine


def hide(*people: str, **settings: object) -> Assignment:
    return Assignment(
        selection=Selection(people), flow="hide", engine="pixelate", settings=settings
    )


def test_a_plan_survives_json() -> None:
    plan = RenderPlan(
        video="/a/b.mp4",
        assignments=(
            hide("P1", margin=0.3),
            Assignment(
                selection=Selection(("P2",), include_unsure=True),
                flow="lipsync",
                engine="rewrite",
                speech=(SpeechLine(path="/a/s.wav", start_seconds=1.5, text="Hello"),),
            ),
        ),
        start=3,
        stop=90,
    )
    assert RenderPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"assignments": "P1"},
        {"assignments": []},
        {"assignments": [{"flow": "hide", "engine": "pixelate"}]},
        {"assignments": [{"people": ["P1"], "flow": "hide"}]},
        {"assignments": [{"people": ["P1"], "flow": "hide", "engine": "pixelate", "settings": 3}]},
        {"start": -1},
        {"start": "0"},
        {"encode": {"quality": "much"}},
        {"video": None},
    ],
)
def test_a_wrong_plan_gets_one_sentence(change: dict[str, object]) -> None:
    data = {**RenderPlan(video="a.mp4", assignments=(hide("P1"),)).to_json(), **change}
    with pytest.raises(FacepickError) as caught:
        RenderPlan.from_json(data)
    assert caught.value.exit_code == 2


def test_relative_paths_of_a_plan_file_are_relative_to_it(tmp_path: Path) -> None:
    plan = RenderPlan(video="clip.mp4", assignments=(hide("P1"),))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan.to_json()))
    assert RenderPlan.load(file).video == str(tmp_path / "clip.mp4")


def test_validation_fails_closed() -> None:
    scan = scan_of([track("T1", 0, list(range(30)))])
    registry = default_registry()

    def check(*assignments: Assignment) -> None:
        RenderPlan(video="a.mp4", assignments=assignments).validate(scan, registry)

    check(hide("P1"))
    with pytest.raises(SelectionError):
        check(hide("P2"))
    with pytest.raises(UserInputError):
        check(hide("P1"), hide("P1"))
    with pytest.raises(FacepickError):
        check(hide("P1", no_such_setting=1))
    with pytest.raises(SelectionError):
        hide()


def test_a_swap_needs_a_statement(tmp_path: Path) -> None:
    registry = default_registry()
    if "swap" not in registry.flows():
        pytest.skip("no swap engine is registered")
    scan = scan_of([track("T1", 0, list(range(30)))])
    face = tmp_path / "face.jpg"
    face.write_bytes(b"x")
    engine = registry.of_flow("swap")[0].spec.id

    def plan(consent: str | None) -> RenderPlan:
        return RenderPlan(
            video="a.mp4",
            assignments=(
                Assignment(
                    selection=Selection(("P1",)),
                    flow="swap",
                    engine=engine,
                    source=(str(face),),
                    consent=consent,
                ),
            ),
        )

    with pytest.raises(ConsentRequired) as caught:
        plan("  ").validate(scan, registry)
    assert "--i-have-the-right" in caught.value.sentence()
    plan("I have the right to use both faces.").validate(scan, registry)


def test_the_plan_of_the_documentation_works(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "plans.md"
    text = guide.read_text(encoding="utf-8")
    (tmp_path / "plan.json").write_text(text.split("```json")[1].split("```")[0])
    written_film(tmp_path / "clip.mp4", None, frames=5)
    for name in ("one.wav", "two.wav", "stem.wav"):
        silent_wav(tmp_path / name, 2.0)
    plan = RenderPlan.load(tmp_path / "plan.json")
    plan.validate_inputs(default_registry())
    assert {Path(name).parent for name in (plan.video, *plan.files())} == {tmp_path}
    assert plan.assignments[0].speech[1].cue_seconds == 1.4
    # What is said of its keys is all that there is.
    told = {
        name.strip(" `")
        for row in text.splitlines()
        if row.startswith("| `")
        for name in row.split("|")[1].split(",")
    }
    told = {name.rpartition(".")[2].removesuffix("[]") for name in told}
    assert set(plan.to_json()) - told == {"content_hash"}
