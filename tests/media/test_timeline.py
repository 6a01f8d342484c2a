from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facepick.media.timeline import (
    LENGTH_MODES,
    constant_rate,
    frames_needed,
    output_pts,
    source_frames,
)


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("loop", [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]),
        ("bounce", [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]),
        ("freeze", [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]),
    ],
)
def test_what_is_shown_after_the_end(mode: str, shown: list[int]) -> None:
    assert source_frames(4, 10, mode).tolist() == shown  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", LENGTH_MODES)
def test_one_frame_and_no_output(mode: str) -> None:
    assert source_frames(1, 1, mode).tolist() == [0]  # type: ignore[arg-type]
    assert source_frames(5, 0, mode).tolist() == []  # type: ignore[arg-type]
    assert source_frames(7, 7, mode).tolist() == list(range(7))  # type: ignore[arg-type]


def test_a_single_frame_can_be_repeated() -> None:
    for mode in ("loop", "bounce", "freeze"):
        assert source_frames(1, 4, mode).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("mode", ["cut", "silence", "remap"])
def test_keeping_the_length_cannot_make_frames(mode: str) -> None:
    with pytest.raises(ValueError, match="shows no frame twice"):
        source_frames(4, 5, mode)  # type: ignore[arg-type]


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mode must be"):
        source_frames(4, 4, "stretch")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", LENGTH_MODES)
def test_shorter_speech_never_shortens_the_video(mode: str) -> None:
    assert frames_needed([512] * 20, 100, mode) == 20  # type: ignore[arg-type]
    assert frames_needed([512] * 20, 20 * 512, mode) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["loop", "bounce", "freeze"])
@pytest.mark.parametrize("wanted", [2001, 2500, 4321, 40_000])
def test_as_few_frames_as_cover_the_speech_whatever_their_durations(mode: str, wanted: int) -> None:
    rng = np.random.default_rng(5)
    durations = rng.integers(20, 180, 20)
    durations[-1] += 2000 - durations.sum()
    count = frames_needed(durations.tolist(), wanted, mode)  # type: ignore[arg-type]
    shown = durations[source_frames(20, count, mode)]  # type: ignore[arg-type]
    assert shown.sum() >= wanted
    assert shown[:-1].sum() < wanted


@pytest.mark.parametrize("mode", ["cut", "silence"])
def test_longer_speech_is_cut(mode: str) -> None:
    assert frames_needed([40] * 10, 10_000, mode) == 10  # type: ignore[arg-type]


def test_frames_need_durations() -> None:
    with pytest.raises(ValueError, match="display time"):
        frames_needed([40, 0], 100, "loop")


def test_unchanged_length_keeps_every_time_of_a_variable_rate() -> None:
    pts = [900, 1000, 1033, 1200, 1210]
    times, last = output_pts(pts, 77, source_frames(5, 5, "cut"))
    assert times == pts
    assert last == 77


def test_repeated_frames_last_as_long_as_in_the_source() -> None:
    times, last = output_pts([0, 10, 40], 5, source_frames(3, 7, "bounce"))
    # 0 for 10, 1 for 30, 2 for 5, 1 for 30, 0 for 10, 1 for 30, 2 for 5
    assert times == [0, 10, 40, 45, 75, 85, 115]
    assert last == 5


MILLISECOND = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("pts", "base", "likely", "rate"),
    [
        ([512 * n for n in range(30)], Fraction(1, 12800), None, Fraction(25)),
        # Rounded to milliseconds, as Matroska does.
        ([round(n * 1001 / 60) for n in range(90)], MILLISECOND, None, Fraction(60000, 1001)),
        ([round(n * 1001 / 24) for n in range(90)], MILLISECOND, None, Fraction(24000, 1001)),
        ([round(n * 1000 / 24) for n in range(600)], MILLISECOND, None, Fraction(24)),
        ([n * 80 for n in range(9)], MILLISECOND, None, Fraction(25, 2)),
        # How Matroska's rate comes back.
        ([n * 1001 for n in range(9)], Fraction(1, 60000), Fraction(19001, 317),
         Fraction(60000, 1001)),
        # Two frames of thirty are missing.
        ([n * 512 for n in range(30) if n not in (9, 20)], Fraction(1, 12800), None, Fraction(25)),
        # Every third picture stands for two; one second at 25, one at 30; jitter.
        ([n * 512 for n in range(60) if n % 4 != 3], Fraction(1, 12800), Fraction(25), None),
        ([*range(0, 1000, 40), *(1000 + round(n * 100 / 3) for n in range(30))], MILLISECOND,
         Fraction(27), None),
        ([n * 40 + (n * 7 % 11) for n in range(50)], MILLISECOND, Fraction(25), None),
        ([7], MILLISECOND, Fraction(25), Fraction(25)),
        ([7], MILLISECOND, None, None),
        ([7], MILLISECOND, Fraction(12800), None),
        ([0, 40], MILLISECOND, None, Fraction(25)),
    ],
)  # fmt: skip
def test_rate_of_a_table_of_times(
    pts: list[int], base: Fraction, likely: Fraction | None, rate: Fraction | None
) -> None:
    assert constant_rate(pts, base, likely) == rate
    assert constant_rate([p + 12345 for p in pts], base, likely) == rate
