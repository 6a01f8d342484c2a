"""What is heard in a result, to the sample, and when mouths are closed."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from tests.films import RATE, StillEngine, scan_of_film, still_registry, written_film
from tests.sounds import pcm_wav

from facepick.errors import SettingsError, UserInputError
from facepick.media.audio import read_audio
from facepick.media.encode import EncodeSettings
from facepick.media.probe import probe
from facepick.models.store import ModelStore
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.render.renderer import Renderer, RenderResult
from facepick.render.report import read_report
from facepick.render.target import check_target
from facepick.speech.line import Speech, SpeechLine

Sound = npt.NDArray[np.int16]
SECONDS = 4
FADE = 0.02


def noise(seconds: float, rate: int, channels: int, *, level: float = 0.2, seed: int = 0) -> Sound:
    made = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    return np.clip(np.rint(made * level * 32767), -32768, 32767).astype(np.int16)


def tone(seconds: float, rate: int, channels: int, *, hertz: float = 200.0) -> Sound:
    one = 0.9 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(np.rint(one * 32767).astype(np.int16)[:, None], channels, axis=1)


class Studio:
    """Renders tiny films with an engine that changes nothing."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder, self.models = folder, ModelStore([models], folder / "models")
        self.engine = StillEngine()
        self.made = 0

    def line(self, *, start: float = 1.0, seconds: float = 1.0, **rest: Any) -> SpeechLine:
        path = self.folder / f"line-{seconds:g}.wav"
        pcm_wav(path, noise(seconds, 48_000, 1, level=0.1, seed=9), 48_000)
        return SpeechLine(path=str(path), start_seconds=start, **rest)

    def render(
        self,
        film: Path,
        lines: tuple[SpeechLine, ...],
        *,
        suffix: str = ".mov",
        people: tuple[str, ...] = ("P1",),
        part: tuple[int, int | None] = (0, None),
        encode: EncodeSettings | None = None,
        **output: Any,
    ) -> RenderResult:
        registry, self.engine = still_registry()
        speaker = Assignment(
            selection=Selection(("P1",)), flow="lipsync", engine="still", speech=lines
        )
        plan = RenderPlan(
            video=str(film),
            assignments=(speaker,),
            output=OutputSettings(**output),
            encode=encode or EncodeSettings(preset="ultrafast"),
            start=part[0],
            stop=part[1],
        )
        self.made += 1
        folder = self.folder / f"work-{self.made}"
        folder.mkdir()
        renderer = Renderer(
            plan,
            scan_of_film(film, people=people),
            workspace=folder,
            registry=registry,
            models=self.models,
        )
        return renderer.run(self.folder / f"out-{self.made}{suffix}")

    @property
    def speech(self) -> Speech:
        speech = self.engine.contexts[0].speech
        assert speech is not None
        return speech


@pytest.fixture
def studio(tmp_path: Path, shared_models: Path) -> Studio:
    return Studio(tmp_path, shared_models)


def heard(path: Path, *, rate: int, start: Fraction = Fraction(0)) -> npt.NDArray[np.int32]:
    """Samples from a moment of the container's clock on, as whole numbers of 24 bits."""
    (info, *_) = probe(path).audio
    assert info.sample_rate == rate
    samples, own = read_audio(path, offset=start)
    assert own == rate
    return np.rint(samples.astype(np.float64) * 2**23).astype(np.int32)


def wide(sound: Sound) -> npt.NDArray[np.int32]:
    return sound.astype(np.int32) << 8


def outside(count: int, rate: int, *lines: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which samples are more than 20 ms from every line."""
    at = np.arange(count) / rate
    away = [np.maximum(start - at, at - stop) for start, stop in lines]
    return np.asarray(np.min(away, axis=0) > FADE, np.bool_)


# ----------------------------------------------------------------------------------- the four modes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "channels"), [(48_000, 2), (44_100, 2), (48_000, 6), (32_000, 1), (22_050, 2)]
)
@pytest.mark.parametrize("mode", ["replace", "duck", "keep"])
def test_away_from_lines_the_originals_samples_are_the_same(
    studio: Studio, rate: int, channels: int, mode: str
) -> None:
    sound = noise(SECONDS, rate, channels, level=0.35)
    film = written_film(studio.folder / "film.mov", sound, rate=rate)
    out = studio.render(film, (studio.line(),), original=mode).path
    made = heard(out, rate=rate)
    assert probe(out).audio[0].channels == channels
    away = outside(len(sound), rate, (1.0, 2.0))
    np.testing.assert_array_equal(made[: len(sound)][away], wide(sound)[away])
    inside = slice(round(1.1 * rate), round(1.9 * rate))
    voice = 2 if channels == 6 else 0  # surround has its centre for speech
    alike = np.corrcoef(made[inside, voice], sound[inside, voice])[0, 1]
    assert alike < 0.1 if mode == "replace" else alike > 0.15


def test_matroska_holds_the_same_samples_as_flac(studio: Studio) -> None:
    sound = noise(SECONDS, 48_000, 2)
    film = written_film(studio.folder / "film.mov", sound)
    out = studio.render(film, (studio.line(),), suffix=".mkv").path
    assert probe(out).audio[0].codec == "flac"
    away = outside(len(sound), 48_000, (1.0, 2.0))
    np.testing.assert_array_equal(heard(out, rate=48_000)[: len(sound)][away], wide(sound)[away])


def test_muted_nothing_of_the_original_is_heard(studio: Studio) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2))
    made = heard(studio.render(film, (studio.line(),), original="mute").path, rate=48_000)
    away = outside(len(made), 48_000, (1.0, 2.0))
    assert not made[away].any()
    assert made[~away].any()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["replace", "duck"])
def test_seams_make_no_click(studio: Studio, mode: str) -> None:
    """A silent line in a loud tone: no step is larger than the tone's own."""
    rate = 48_000
    sound = tone(SECONDS, rate, 2)
    film = written_film(studio.folder / "film.mov", sound, rate=rate)
    silent = studio.folder / "silent.wav"
    pcm_wav(silent, np.zeros((rate, 1), np.int16), rate)
    lines = tuple(SpeechLine(path=str(silent), start_seconds=s) for s in (0.7003, 2.0, 3.01))
    made = heard(studio.render(film, lines, original=mode).path, rate=rate)
    steps = np.abs(np.diff(made[:, 0]))
    own = np.abs(np.diff(wide(sound)[:, 0])).max()
    # The fade itself moves by at most pi/2 of full scale in 20 ms.
    assert steps.max() <= own + np.pi / 2 / (FADE * rate) * 2**23


def test_only_inside_lines_is_anything_limited(studio: Studio) -> None:
    """An original that is recorded at full scale is not bent beside the lines."""
    sound = noise(SECONDS, 48_000, 2, level=0.9)
    film = written_film(studio.folder / "film.mov", sound)
    made = heard(studio.render(film, (studio.line(),), original="keep").path, rate=48_000)
    away = outside(len(sound), 48_000, (1.0, 2.0))
    assert np.abs(sound).max() == 32768 or np.abs(sound).max() == 32767
    np.testing.assert_array_equal(made[: len(sound)][away], wide(sound)[away])
    assert np.abs(made[~away]).max() <= 2**23


def test_a_line_reaches_as_far_as_its_script_says(studio: Studio) -> None:
    """Else the end of the original line would be heard after a shorter dub."""
    sound = noise(SECONDS, 48_000, 2)
    film = written_film(studio.folder / "film.mov", sound)
    line = studio.line(seconds=0.5, cue_seconds=1.5)
    made = heard(studio.render(film, (line,)).path, rate=48_000)
    assert not made[round(1.55 * 48_000) : round(2.45 * 48_000)].any()
    away = outside(len(sound), 48_000, (1.0, 2.5))
    np.testing.assert_array_equal(made[: len(sound)][away], wide(sound)[away])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("late", "sound_late"), [(Fraction(3, 5), Fraction(0)), (Fraction(0), Fraction(3, 10))]
)
def test_what_begins_late_stays_at_its_time(
    studio: Studio, late: Fraction, sound_late: Fraction
) -> None:
    """Sound before the first picture is heard, too, and the line is on the picture's clock."""
    rate = 48_000
    sound = noise(SECONDS, rate, 2)
    film = written_film(
        studio.folder / "film.mov", sound, rate=rate, late=late, sound_late=sound_late
    )
    out = studio.render(film, (studio.line(),)).path
    assert probe(out).start_seconds == probe(film).start_seconds == late
    made = heard(out, rate=rate, start=sound_late)
    span = (1.0 + float(late - sound_late), 2.0 + float(late - sound_late))
    away = outside(len(sound), rate, span)
    np.testing.assert_array_equal(made[: len(sound)][away], wide(sound)[away])


def test_sound_that_outlasts_the_picture_is_kept(studio: Studio) -> None:
    sound = noise(SECONDS + 0.5, 48_000, 2)
    film = written_film(studio.folder / "film.mov", sound)
    made = heard(studio.render(film, (studio.line(),)).path, rate=48_000)
    assert len(made) == len(sound)


def test_a_part_has_the_sound_of_that_part(studio: Studio) -> None:
    rate = 48_000
    sound = noise(SECONDS, rate, 2)
    film = written_film(studio.folder / "film.mov", sound)
    made = heard(studio.render(film, (studio.line(),), part=(20, 80)).path, rate=rate)
    cut = wide(sound)[round(0.8 * rate) : round(3.2 * rate)]
    assert len(made) == len(cut)
    away = outside(len(cut), rate, (0.2, 1.2))
    np.testing.assert_array_equal(made[away], cut[away])


# --------------------------------------------------------------------------- what users bring along


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (48_000, 6)])
@pytest.mark.parametrize("with_lines", [True, False])
def test_a_soundtrack_is_the_sound_of_the_result(
    studio: Studio, rate: int, channels: int, with_lines: bool
) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2))
    final = noise(SECONDS, rate, channels, level=0.5, seed=4)
    mix = pcm_wav(studio.folder / "final.wav", final, rate)
    lines = (studio.line(),) if with_lines else ()
    out = studio.render(film, lines, soundtrack=str(mix)).path
    np.testing.assert_array_equal(heard(out, rate=rate), wide(final))
    assert [line.path for line in studio.speech.lines] == [lines[0].path if lines else str(mix)]


def test_a_soundtrack_begins_with_the_first_picture(studio: Studio) -> None:
    late = Fraction(3, 5)
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2), late=late)
    final = noise(SECONDS, 48_000, 2, seed=4)
    mix = pcm_wav(studio.folder / "final.wav", final, 48_000)
    out = studio.render(film, (), soundtrack=str(mix)).path
    np.testing.assert_array_equal(heard(out, rate=48_000, start=late), wide(final))


def test_several_people_need_lines_beside_a_soundtrack(studio: Studio) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2))
    mix = pcm_wav(studio.folder / "final.wav", noise(SECONDS, 48_000, 2), 48_000)
    both = Assignment(selection=Selection(("P1", "P2")), flow="lipsync", engine="still")
    plan = RenderPlan(
        video=str(film), assignments=(both,), output=OutputSettings(soundtrack=str(mix))
    )
    registry, _ = still_registry()
    scan = scan_of_film(film, people=("P1", "P2"))
    with pytest.raises(UserInputError, match="nothing says who"):
        plan.validate(scan, registry)
    one = replace(both, selection=Selection(("P2",)))
    replace(plan, assignments=(one,)).validate(scan, registry)
    assert Speech(samples=np.zeros(1, np.float32)).of_all is False
    studio.render(film, (), soundtrack=str(mix), people=("P1", "P2"))
    assert studio.speech.of_all


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["replace", "mute", "duck", "keep"])
def test_a_background_takes_the_originals_place(studio: Studio, mode: str) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 44_100, 1), rate=44_100)
    music = noise(SECONDS, 48_000, 2, level=0.4, seed=5)
    stem = pcm_wav(studio.folder / "me.wav", music, 48_000)
    out = studio.render(film, (studio.line(),), background=str(stem), original=mode).path
    made = heard(out, rate=48_000)
    away = outside(len(music), 48_000, (1.0, 2.0))
    np.testing.assert_array_equal(made[away], wide(music)[away])
    inside = slice(52_000, 92_000)
    assert np.corrcoef(made[inside, 0], music[inside, 0])[0, 1] > 0.7
    assert not np.array_equal(made[inside], wide(music)[inside])


def test_a_file_that_is_not_there_is_refused_before_anything_is_done(studio: Studio) -> None:
    film = written_film(studio.folder / "film.mov", noise(1, 48_000, 2), frames=25)
    for name in ("soundtrack", "background"):
        with pytest.raises(UserInputError, match="There is no file"):
            studio.render(film, (studio.line(),), **{name: "/nowhere/x.wav"})


def test_the_audio_codec(studio: Studio) -> None:
    film = written_film(studio.folder / "film.mov", noise(1, 48_000, 2), frames=25)
    line = studio.line(start=0.2, seconds=0.5)
    for suffix, codec, wanted in (
        (".mp4", "auto", "aac"), (".mp4", "flac", "flac"), (".mkv", "pcm", "pcm_s24le"),
        (".mov", "aac", "aac"), (".mov", "auto", "pcm_s24le"), (".webm", "auto", "opus"),
    ):  # fmt: skip
        encode = EncodeSettings(preset="ultrafast", audio_codec=codec)
        out = studio.render(film, (line,), suffix=suffix, encode=encode).path
        assert probe(out).audio[0].codec == wanted
    plan = RenderPlan(
        video=str(film),
        assignments=(Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate"),),
        encode=EncodeSettings(audio_codec="pcm"),
    )
    with pytest.raises(SettingsError, match="cannot hold pcm"):
        check_target(studio.folder / "x.mp4", plan)


# ------------------------------------------------------------------------------- stretched pictures


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4.6, 3.2])
def test_remap_plays_the_picture_to_the_end_of_the_speech(studio: Studio, seconds: float) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2))
    line = studio.line(start=0.0, seconds=seconds)
    result = studio.render(film, (line,), length="remap")
    assert result.frames == 100
    with av.open(str(result.path)) as made:
        shown = [float(frame.time or 0) for frame in made.decode(video=0)]
    factor = seconds / SECONDS
    assert shown == pytest.approx([i / RATE * factor for i in range(100)], abs=2e-5)
    table = read_report(result.path)
    assert table["result"]["remap"]["stretch"] == pytest.approx(factor, abs=1e-6)
    rows = table["frames"]
    assert [Fraction(r["source_time"]) for r in rows] == [Fraction(i, RATE) for i in range(100)]
    assert [float(Fraction(r["time"])) for r in rows] == pytest.approx(shown, abs=1e-9)
    # What engines are told of time is the same.
    times = studio.engine.contexts[0].times
    assert times is not None
    assert times == pytest.approx(shown, abs=1e-9)
    sound = heard(result.path, rate=48_000)
    assert len(sound) == pytest.approx(seconds * 48_000, abs=1024)  # whole frames of AAC


def test_remap_has_limits(studio: Studio) -> None:
    film = written_film(studio.folder / "film.mov", None, frames=10)
    with pytest.raises(UserInputError, match=r"play it 7\.5 times as long"):
        studio.render(film, (studio.line(start=2.0, seconds=1.0),), length="remap")


# ------------------------------------------------------------------- where the own voice is heard


@pytest.mark.parametrize(
    ("output", "where"),
    [
        ({"original": "keep"}, [(0.0, 4.0)]),
        ({"original": "duck"}, [(0.0, 4.0)]),
        ({"original": "replace"}, [(0.0, 1.0), (2.0, 4.0)]),
        ({"original": "mute"}, []),
        ({"original": "keep", "length": "silence"}, [(0.0, 2.0)]),
        ({"original": "keep", "length": "remap"}, []),
    ],
)
def test_where_the_original_is_heard(
    studio: Studio, output: dict[str, str], where: list[tuple[float, float]]
) -> None:
    film = written_film(studio.folder / "film.mov", noise(SECONDS, 48_000, 2))
    studio.render(film, (studio.line(),), **output)
    assert [list(s) for s in studio.speech.original_heard] == [pytest.approx(w) for w in where]


@pytest.mark.slow
def test_a_mix_that_still_holds_the_original_is_known(studio: Studio) -> None:
    """Who mends one line brings a mix in which everybody else is as filmed."""
    sound = noise(SECONDS, 48_000, 2)
    film = written_film(studio.folder / "film.mov", sound)
    final = sound.copy()
    final[48_000 : 2 * 48_000] = noise(1, 48_000, 2, seed=8)
    mix = pcm_wav(studio.folder / "final.wav", final, 48_000)
    studio.render(film, (studio.line(),), soundtrack=str(mix))
    (a, b), (c, d) = studio.speech.original_heard
    assert (a, d) == (0.0, pytest.approx(4.0, abs=0.5))
    assert b == pytest.approx(1.0, abs=0.25)
    assert c == pytest.approx(2.0, abs=0.25)
    music = pcm_wav(studio.folder / "me.wav", noise(SECONDS, 48_000, 2, seed=3), 48_000)
    studio.render(film, (studio.line(),), background=str(music))
    assert studio.speech.original_heard == ()


# ----------------------------------------------------------------------------------------- plans


def test_an_old_plan_means_what_it_meant() -> None:
    item = Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate")
    new = RenderPlan(video="a.mp4", assignments=(item,)).to_json()
    assert new["format"] == "facepick-plan/2"
    assert RenderPlan.from_json(json.loads(json.dumps(new))).output.original == "replace"
    for given, meant in (("replace", "mute"), ("keep", "keep"), ("duck", "duck"), (None, "mute")):
        old = {**new, "format": "facepick-plan/1"}
        old["output"] = {} if given is None else {"original": given}
        assert RenderPlan.from_json(old).output.original == meant
