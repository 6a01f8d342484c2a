"""The sound of a result: when, how loud, and what is left of the original."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.films import written_film

from facepick.errors import Cancelled, NoAudioError, UserInputError
from facepick.media import loudness as measured
from facepick.media.audio import mixing_of, read_audio
from facepick.media.dub import (
    HeardSound,
    OriginalSound,
    analysis_original,
    analysis_speech,
    lines_end_seconds,
    mix_format,
    mixed,
)
from facepick.media.ffmpeg import loudness
from facepick.progress import CancelToken, never
from facepick.speech.line import Speech, SpeechLine

Array = np.ndarray


def write_wav(path: Path, samples: Array, rate: int) -> Path:
    """16-bit PCM from (n,) or (n, channels) in [-1, 1]."""
    data = samples if samples.ndim == 2 else samples[:, None]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(data.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(data, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def person_speech(
    lines: Sequence[SpeechLine], *, seconds: float, original: OriginalSound | None = None
) -> Speech:
    """One person's lines on the output's clock, as engines get them."""
    return Speech(
        samples=analysis_speech(lines, seconds=seconds),
        lines=tuple(lines),
        original=original and analysis_original(original, seconds=seconds),
    )


def write_mix(
    path: Path,
    lines: Sequence[SpeechLine],
    *,
    seconds: float,
    mode: str,
    original: OriginalSound | None = None,
    length: str = "cut",
    rate: int | None = None,
    cancel: CancelToken = never,
) -> Path:
    """A mix as a 24-bit file."""
    sound = HeardSound(mode=mode, original=original, length=length)  # type: ignore[arg-type]
    form = mix_format(sound, lines)
    form = replace(form, rate=rate or form.rate)
    pieces = list(mixed(lines, sound, seconds=seconds, form=form, cancel=cancel))
    whole = np.rint(np.concatenate(pieces).astype(np.float64) * (2**23 - 1)).astype("<i4")
    with wave.open(str(path), "wb") as file:
        file.setparams((form.channels, 3, form.rate, 0, "NONE", ""))
        file.writeframes(whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes())
    return path


def read_wav(path: Path) -> tuple[Array, int]:
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 3
        raw = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, 3)
        whole = np.zeros((len(raw), 4), np.uint8)
        whole[:, 1:] = raw
        samples = whole.view("<i4")[:, 0].astype(np.float64) / 2**31
        return samples.reshape(-1, file.getnchannels()), file.getframerate()


def noise(seconds: float, rate: int, level: float = 0.1, seed: int = 0) -> Array:
    return level * np.random.default_rng(seed).standard_normal(int(seconds * rate))


def tone(seconds: float, rate: int, hertz: float, level: float) -> Array:
    return level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def lag_ms(heard: Array, wanted: Array, rate: int) -> float:
    """By how much `heard` comes after `wanted`, by cross-correlation."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size))
    peak = int(np.argmax(np.fft.irfft(product)))
    return 1000 * (peak - size if peak > size // 2 else peak) / rate


# ------------------------------------------------------------------------------------- loudness


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_of_the_ebu_test_tone(channels: int, tmp_path: Path) -> None:
    """EBU Tech 3341, case 1: a 1 kHz sine whose peaks are at -23 dBFS, -23 LUFS in stereo."""
    one = tone(4, 48_000, 1000, 10 ** (-23 / 20))
    file = write_wav(tmp_path / "tone.wav", np.stack([one] * channels, 1), 48_000)
    assert loudness(file) == pytest.approx(-23, abs=0.15)
    assert loudness(file, offset=Fraction(1), duration=Fraction(2)) == pytest.approx(-23, abs=0.15)


def test_silence_has_no_loudness(shared_media: Path) -> None:
    assert loudness(shared_media / "speech" / "silence_3s.wav") is None


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_line_is_as_loud_as_the_original_however_many_channels_it_has(
    channels: int, tmp_path: Path
) -> None:
    """Surround speech, which stands in the centre, loses 7.7 dB on its way to stereo."""
    rate = 48_000
    original = np.stack([noise(4, rate, 0.05, seed=1)] * 2, 1)
    speech = np.zeros((4 * rate, channels))
    heard = slice(2, 3) if channels == 6 else slice(None)
    speech[:, heard] = noise(4, rate, 0.2, seed=2)[:, None]
    voice = write_wav(tmp_path / "voice.wav", speech, rate)
    video = write_wav(tmp_path / "video.wav", original, rate)
    mixed = write_mix(
        tmp_path / "mix.wav",
        [SpeechLine(path=str(voice))],
        seconds=4,
        mode="mute",
        original=OriginalSound(path=video, duration=Fraction(4)),
        rate=rate,
    )
    assert loudness(mixed) == pytest.approx(loudness(video), abs=0.5)


def test_loudness_is_kept_for_as_long_as_the_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_process() -> None:
        monkeypatch.setattr(measured, "_book", measured._Book())
        measured.keep_loudness_in(tmp_path / "kept")

    another_process()
    tone = np.sin(np.arange(32000) * 0.2) * 0.1
    file = write_wav(tmp_path / "line.wav", tone, 16000)
    part = measured.SoundPart(path=file, channels=2)
    found = measured.loudness_of(part, never)
    assert found is not None
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text('{"lufs": -40.5}')
    assert measured.loudness_of(part, never) == found
    another_process()
    assert measured.loudness_of(part, never) == -40.5
    another_process()
    kept.write_text("no number")
    assert measured.loudness_of(part, never) == found
    write_wav(file, np.concatenate([tone, tone]) / 2, 16000)
    assert measured.loudness_of(part, never) == pytest.approx(found - 6, abs=0.2)


def test_the_loudness_is_that_of_the_track_that_is_heard(tmp_path: Path) -> None:
    """ffmpeg by itself would take the second track, which has more channels."""
    import av

    rate = 48_000
    path = tmp_path / "two.mka"
    with av.open(str(path), "w") as out:
        streams = []
        for channels in (1, 2):
            stream = out.add_stream("pcm_s16le", rate=rate)
            stream.layout = "mono" if channels == 1 else "stereo"
            streams.append(stream)
        for stream, level in zip(streams, (0.05, 0.2), strict=True):
            samples = noise(3, rate, level)
            wide = np.repeat(samples[:, None], len(stream.layout.channels), 1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(np.rint(wide * 32767).astype("<i2").reshape(1, -1)),
                format="s16",
                layout=stream.layout.name,
            )
            frame.sample_rate, frame.pts = rate, 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    quiet = write_wav(tmp_path / "quiet.wav", noise(3, rate, 0.05), rate)
    voice = SpeechLine(path=str(write_wav(tmp_path / "voice.wav", noise(3, rate, 0.1, 3), rate)))
    original = OriginalSound(path=path, duration=Fraction(3))
    mixed = write_mix(
        tmp_path / "mix.wav", [voice], seconds=3, mode="mute", original=original, rate=rate
    )
    assert loudness(mixed) == pytest.approx(loudness(quiet), abs=0.5)


# ---------------------------------------------------------------------------- when a line sounds


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_first_sample_within_a_millisecond(tmp_path: Path, rate: int, channels: int) -> None:
    mono = noise(1.5, rate)
    path = write_wav(tmp_path / "line.wav", np.repeat(mono[:, None], channels, 1) * 0.5, rate)
    line = SpeechLine(path=str(path), start_seconds=0.7313)
    speech = person_speech([line], seconds=3)
    assert speech.samples.shape == (48_000,)
    out = write_mix(tmp_path / "mix.wav", [line], seconds=3, mode="mute", rate=48_000)
    mixed, out_rate = read_wav(out)
    assert mixed.shape == (144_000, 2)
    for heard, at in ((speech.samples, 16_000), (mixed[:, 0], out_rate)):
        grid = np.arange(int(1.5 * at)) / at
        wanted = np.interp(grid, np.arange(len(mono)) / rate, mono)
        assert lag_ms(heard, wanted, at) == pytest.approx(731.3, abs=1.0)


def test_trim_and_offset(tmp_path: Path) -> None:
    rate = 48_000
    mono = noise(3, rate)
    path = write_wav(tmp_path / "a.wav", mono, rate)
    line = SpeechLine(path=str(path), start_seconds=1.0, offset_seconds=0.5, duration_seconds=1.0)
    mixed, _ = read_wav(write_mix(tmp_path / "m.wav", [line], seconds=4, mode="keep"))
    left = mixed[:, 0]
    assert not left[:rate].any()
    assert not left[2 * rate :].any()
    assert np.abs(left[rate + 500 : 2 * rate - 500] - mono[24_500 : 72_000 - 500]).max() < 1e-4
    assert lines_end_seconds([line]) == 2


def test_lines_of_several_people_are_added_and_later_speech_is_cut(tmp_path: Path) -> None:
    rate = 48_000
    a, b = noise(2, rate, seed=1), noise(2, rate, seed=2)
    lines = [
        SpeechLine(path=str(write_wav(tmp_path / "a.wav", a, rate)), start_seconds=0.5),
        SpeechLine(path=str(write_wav(tmp_path / "b.wav", b, rate)), start_seconds=1.5),
    ]
    mixed, _ = read_wav(write_mix(tmp_path / "m.wav", lines, seconds=3, mode="mute"))
    wanted = np.zeros(3 * rate)
    wanted[rate // 2 : rate // 2 + 2 * rate] += a
    wanted[3 * rate // 2 :] += b[: 3 * rate // 2]
    assert np.abs(mixed[:, 0] - wanted).max() < 1e-4
    assert lines_end_seconds(lines) == Fraction(7, 2)


def test_stereo_stays_stereo_and_mono_is_in_the_middle(tmp_path: Path) -> None:
    rate = 44_100
    left, right = noise(1, rate, seed=1), noise(1, rate, seed=2)
    path = write_wav(tmp_path / "s.wav", np.stack([left, right], 1), rate)
    out = write_mix(
        tmp_path / "m.wav", [SpeechLine(path=str(path))], seconds=1, mode="mute", rate=rate
    )
    mixed, out_rate = read_wav(out)
    assert out_rate == rate
    assert np.abs(mixed - np.stack([left, right], 1)).max() < 1e-4
    one = write_wav(tmp_path / "one.wav", left, rate)
    out = write_mix(
        tmp_path / "m1.wav", [SpeechLine(path=str(one))], seconds=1, mode="mute", rate=rate
    )
    mixed, _ = read_wav(out)
    np.testing.assert_array_equal(mixed[:, 0], mixed[:, 1])
    assert np.abs(mixed[:, 0] - left).max() < 1e-4


def test_speech_from_a_video_and_from_surround_sound(odd: Callable[[str], Path]) -> None:
    for name in ("surround_5.1.mp4", "audio_only.mp4", "vfr_vp9_opus.webm"):
        speech = person_speech([SpeechLine(path=str(odd(name)))], seconds=4)
        assert float(np.abs(speech.samples).max()) > 0.02, name


def test_a_file_without_sound(odd: Callable[[str], Path], tmp_path: Path) -> None:
    line = SpeechLine(path=str(odd("no_audio.mp4")))
    with pytest.raises(NoAudioError, match=r"no_audio\.mp4"):
        person_speech([line], seconds=2)
    with pytest.raises(NoAudioError):
        write_mix(tmp_path / "m.wav", [line], seconds=2, mode="mute")
    assert not (tmp_path / "m.wav").exists()
    assert list(tmp_path.iterdir()) == []


def test_skipping_more_than_there_is(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(1, 16_000), 16_000)
    with pytest.raises(UserInputError, match="holds nothing after 5 s"):
        lines_end_seconds([SpeechLine(path=str(path), offset_seconds=5)])


def test_broken_samples_and_clipping(tmp_path: Path) -> None:
    rate = 16_000
    samples = noise(1, rate, level=2.0).astype("<f4")
    samples[100:200] = np.nan
    samples[300:310] = np.inf
    path = tmp_path / "float.wav"
    data = samples.tobytes()
    head = (
        b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    )
    head += (3).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
    head += (
        (rate * 4).to_bytes(4, "little") + (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    )
    path.write_bytes(head + b"data" + len(data).to_bytes(4, "little") + data)
    line = SpeechLine(path=str(path))
    assert np.isfinite(person_speech([line], seconds=1).samples).all()
    mixed, _ = read_wav(write_mix(tmp_path / "m.wav", [line, line], seconds=1, mode="mute"))
    assert np.abs(mixed).max() <= 1.0
    assert np.abs(mixed).max() > 0.95


def test_silence_stays_silence(shared_media: Path, tmp_path: Path) -> None:
    line = SpeechLine(path=str(shared_media / "speech" / "silence_3s.wav"))
    assert not person_speech([line], seconds=3).samples.any()
    mixed, _ = read_wav(write_mix(tmp_path / "m.wav", [line], seconds=3, mode="mute"))
    assert not mixed.any()


# ------------------------------------------------------------------------------- the original


@pytest.fixture
def film(tmp_path: Path) -> OriginalSound:
    """4 s of a 200 Hz hum at -20 dBFS, 44.1 kHz stereo."""
    hum = np.repeat(tone(4, 44_100, 200, 0.1)[:, None], 2, 1)
    path = write_wav(tmp_path / "film.wav", hum, 44_100)
    return OriginalSound(path=path, duration=Fraction(4))


def level(mixed: Array, rate: int, start: float, stop: float) -> float:
    part = mixed[int(start * rate) : int(stop * rate), 0]
    return float(np.sqrt(np.mean(part**2)))


def quiet_line(tmp_path: Path) -> SpeechLine:
    path = write_wav(tmp_path / "quiet.wav", np.zeros(48_000), 48_000)
    return SpeechLine(path=str(path), start_seconds=2.0)


@pytest.mark.slow
def test_keep_duck_replace_mute(film: OriginalSound, tmp_path: Path) -> None:
    line = quiet_line(tmp_path)
    rate = 44_100
    hum = 0.1 / np.sqrt(2)
    expected = {
        "keep": (hum, hum, hum),
        "duck": (hum, hum * 10 ** (-14 / 20), hum),
        "replace": (hum, 0.0, hum),
        "mute": (0.0, 0.0, 0.0),
    }
    for mode, levels in expected.items():
        out = write_mix(
            tmp_path / f"{mode}.wav",
            [line],
            seconds=4,
            mode=mode,  # type: ignore[arg-type]
            original=film,
            rate=rate,
        )
        mixed, _ = read_wav(out)
        got = [level(mixed, rate, *part) for part in ((0.5, 1.5), (2.2, 2.8), (3.5, 4))]
        assert got == pytest.approx(levels, rel=0.02, abs=1e-6), mode


def test_ducking_makes_no_click(film: OriginalSound, tmp_path: Path) -> None:
    out = write_mix(
        tmp_path / "m.wav", [quiet_line(tmp_path)], seconds=4, mode="duck", original=film
    )
    mixed, rate = read_wav(out)
    # A 200 Hz sine of 0.1 moves at most 2 pi 200 / 48000 * 0.1 from sample to sample.
    assert np.abs(np.diff(mixed[:, 0])).max() < 1.1 * 2 * np.pi * 200 / rate * 0.1


def test_silence_mode_ends_the_original_with_the_last_line(
    film: OriginalSound, tmp_path: Path
) -> None:
    line = quiet_line(tmp_path)
    out = write_mix(
        tmp_path / "m.wav", [line], seconds=4, mode="keep", original=film, length="silence"
    )
    mixed, rate = read_wav(out)
    assert level(mixed, rate, 2.0, 2.9) > 0.05
    assert level(mixed, rate, 3.01, 4.0) == 0


@pytest.mark.slow
def test_a_longer_video_loops_its_sound_only_when_it_loops(
    film: OriginalSound, tmp_path: Path
) -> None:
    for length, again in (("loop", True), ("freeze", False), ("bounce", False)):
        out = write_mix(
            tmp_path / f"{length}.wav",
            [],
            seconds=7,
            mode="keep",
            original=film,
            length=length,  # type: ignore[arg-type]
        )
        mixed, rate = read_wav(out)
        assert len(mixed) == 7 * rate
        assert (level(mixed, rate, 4.5, 6.5) > 0.05) == again


def test_the_original_is_on_the_videos_clock(odd: Callable[[str], Path], tmp_path: Path) -> None:
    """The video of this file starts 0.85 s after its sound: what was heard before is not."""
    path = odd("video_starts_0.85s_late.mp4")
    whole = OriginalSound(path=path, duration=Fraction(3))
    late = OriginalSound(path=path, start=Fraction(85, 100), duration=Fraction(2))
    a, rate = read_wav(write_mix(tmp_path / "a.wav", [], seconds=3, mode="keep", original=whole))
    b, _ = read_wav(write_mix(tmp_path / "b.wav", [], seconds=2, mode="keep", original=late))
    assert lag_ms(a[:, 0], b[:, 0], rate) == pytest.approx(850, abs=1)


@pytest.mark.slow
def test_a_line_is_brought_to_the_loudness_of_the_original(
    clip: Callable[[str], Path], shared_media: Path, tmp_path: Path
) -> None:
    source = OriginalSound(path=clip("dev_gt2"), duration=Fraction(10))
    keep = write_mix(tmp_path / "k.wav", [], seconds=10, mode="keep", original=source)
    target = loudness(keep)
    speech = shared_media / "speech" / "en_ljspeech_f_22k.wav"
    for gain in (1.0, 0.1):
        with wave.open(str(speech)) as file:
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        line = SpeechLine(path=str(write_wav(tmp_path / "l.wav", data * gain, 22_050)))
        out = write_mix(tmp_path / "m.wav", [line], seconds=10, mode="mute", original=source)
        assert loudness(out) == pytest.approx(target, abs=0.7)


def test_analysis_does_not_depend_on_the_recording_level(tmp_path: Path) -> None:
    loud = write_wav(tmp_path / "loud.wav", noise(2, 16_000, 0.2), 16_000)
    quiet = write_wav(tmp_path / "quiet.wav", noise(2, 16_000, 0.02), 16_000)
    a, b = (person_speech([SpeechLine(path=str(p))], seconds=2).samples for p in (loud, quiet))
    assert np.abs(a).mean() == pytest.approx(np.abs(b).mean(), rel=0.02)


def test_stopping_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(3, 16_000), 16_000)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        write_mix(
            tmp_path / "m.wav",
            [SpeechLine(path=str(path))],
            seconds=3,
            mode="mute",
            cancel=token,
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav"]


def test_the_loudness_of_surround_is_that_of_its_stereo(tmp_path: Path) -> None:
    """With a layout that the file names; a bare WAV of six channels names none."""
    sound = (noise(3, 48_000, 0.1)[:, None] * np.ones(6)[None]).copy()
    film = written_film(tmp_path / "film.mov", np.rint(sound * 32767).astype(np.int16), frames=75)
    mixing = mixing_of("5.1", 6, 2)
    assert mixing is not None
    stereo, rate = read_audio(film, channels=2)
    wanted = loudness(write_wav(tmp_path / "stereo.wav", stereo, rate))
    assert loudness(film, mixing=mixing.tolist()) == pytest.approx(wanted, abs=0.1)


def test_speech_with_an_inverted_channel_is_heard(tmp_path: Path) -> None:
    """The louder channel, not a sum of nothing."""
    voice = noise(1, 48_000, 0.2)
    path = write_wav(tmp_path / "inverted.wav", np.stack([voice, -voice], axis=1), 48_000)
    plain = write_wav(tmp_path / "plain.wav", voice, 48_000)
    heard, wanted = (
        person_speech([SpeechLine(path=str(p))], seconds=1).samples for p in (path, plain)
    )
    assert np.abs(heard).mean() == pytest.approx(np.abs(wanted).mean(), rel=0.2)
