"""Reading sound from anything, and mixing speech into it."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from facepick.errors import Cancelled, FfmpegFailed, NoAudioError, VideoOpenError
from facepick.media import ffmpeg
from facepick.media.audio import AudioBlock, decode_audio, fitted, read_audio, read_mono
from facepick.media.probe import probe
from facepick.progress import CancelToken

Odd = Callable[[str], Path]
Samples = npt.NDArray[np.float32]


def _wav(path: Path, samples: Samples, rate: int) -> Path:
    """A 16-bit WAV, which is what people upload."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return path


def _float_wav(path: Path, samples: Samples, rate: int) -> Path:
    """A float WAV, which alone can hold NaN and what is beyond full scale."""
    import struct

    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1,
                       rate, rate * 4, 4, 32)  # fmt: skip
    path.write_bytes(head + struct.pack("<4sI", b"data", len(data)) + data)
    return path


def _tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.3) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rate", "channels", "seconds"),
    [
        ("de_9s_48k24bit.wav", 48000, 2, 9.343),
        ("en_jfk.mp3", 44100, 2, 11.0),
        ("en_jfk_m_11s_44k.flac", 44100, 2, 11.0),
        ("en_espeak_synthetic.wav", 22050, 1, 6.768),
        ("zh_3s_48k.wav", 48000, 2, 3.376),
    ],
)
def test_files_as_they_are_and_as_speech(
    name: str, rate: int, channels: int, seconds: float, media: Callable[[str], Path]
) -> None:
    path = media(f"speech/{name}")
    samples, own_rate = read_audio(path)
    assert (own_rate, samples.shape[1], samples.dtype) == (rate, channels, np.float32)
    assert len(samples) / rate == pytest.approx(seconds, abs=0.002)
    mono = read_mono(path)
    assert mono.shape == (pytest.approx(seconds * 16000, abs=40),)
    assert 0.01 < np.abs(mono).max() <= 1.0


def test_low_rate_comes_out_at_the_right_pitch(tmp_path: Path) -> None:
    path = _wav(tmp_path / "phone.wav", _tone(1.0, 8000), 8000)
    mono = read_mono(path)
    assert len(mono) == pytest.approx(16000, abs=32)
    assert np.argmax(np.abs(np.fft.rfft(mono[:16000]))) == pytest.approx(440, abs=1)
    assert np.abs(mono[1000:-1000]).max() == pytest.approx(0.3, abs=0.01)


def test_surround_is_mixed_down(odd: Odd) -> None:
    samples, _ = read_audio(odd("surround_5.1.mp4"))
    assert samples.shape[1] == 6
    stereo, _ = read_audio(odd("surround_5.1.mp4"), channels=2)
    assert len(stereo) == len(samples)
    plain = read_mono(odd("base_640x360.mp4"))
    mixed = read_mono(odd("surround_5.1.mp4"))
    assert np.corrcoef(plain[:80000], mixed[:80000])[0, 1] > 0.99


def test_nan_and_clipping_are_made_harmless(tmp_path: Path) -> None:
    samples = _tone(0.5, 16000, level=3.0)
    samples[100:200] = np.nan
    samples[300] = np.inf
    read, _ = read_audio(_float_wav(tmp_path / "bad.wav", samples, 16000))
    assert np.isfinite(read).all()
    assert np.abs(read).max() == 1.0
    assert (read[100:200] == 0).all()


def test_silence_stays_silent(shared_media: Path) -> None:
    assert not read_mono(shared_media / "speech" / "silence_3s.wav").any()


def _two_tracks(path: Path) -> Path:
    """Matroska with 1 s of a 300 Hz tone and 1 s of a 700 Hz tone."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as made:
        streams = [made.add_stream("pcm_s16le", rate=16000) for _ in range(2)]
        for stream in streams:
            stream.codec_context.layout = "mono"
        for stream, hertz in zip(streams, (300, 700), strict=True):
            codes = np.rint(_tone(1.0, 16000, hertz=hertz) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(codes[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            made.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_second_track_and_missing_track(tmp_path: Path) -> None:
    path = _two_tracks(tmp_path / "two.mkv")
    for index, hertz in ((None, 300), (0, 300), (1, 700)):
        heard = read_mono(path, stream=index)
        assert np.argmax(np.abs(np.fft.rfft(heard))) == hertz
    with pytest.raises(NoAudioError, match="no audio stream 7"):
        read_mono(path, stream=7)


def test_mixing_channels_keeps_the_level(tmp_path: Path) -> None:
    """What is the same on both sides is as loud in mono, and mono as loud on both sides."""
    tone = _tone(0.5, 16000, level=0.9)
    stereo = _wav(tmp_path / "stereo.wav", np.stack([tone, tone], axis=1), 16000)
    mono = _wav(tmp_path / "mono.wav", tone, 16000)
    assert np.abs(read_mono(stereo) - tone).max() < 1e-3
    both, _ = read_audio(mono, channels=2)
    assert np.abs(both - tone[:, None]).max() < 1e-3


def test_no_sound(odd: Odd) -> None:
    for name in ("no_audio.mp4", "anim.gif"):
        with pytest.raises(NoAudioError, match="no sound") as caught:
            read_mono(odd(name))
        assert caught.value.hint
    with pytest.raises(VideoOpenError):
        read_mono(odd("text_file.mp4"))


def test_alignment_with_the_picture(odd: Odd) -> None:
    """The picture starts 0.85 s late: sample 0 is then what is heard at 0.85 s."""
    path = odd("video_starts_0.85s_late.mp4")
    start = probe(path).start_seconds
    assert start == Fraction(85, 100)
    whole = read_mono(path)
    aligned = read_mono(path, align_to=start)
    assert np.array_equal(aligned, whole[round(start * 16000) :])
    early = read_mono(path, align_to=Fraction(-1, 2))
    assert not early[:8000].any()
    assert np.array_equal(early[8000:], whole)


def test_part(shared_media: Path) -> None:
    path = shared_media / "speech" / "en_espeak_synthetic.wav"
    whole, rate = read_audio(path)
    part, _ = read_audio(path, offset=Fraction(2), duration=Fraction(3, 2))
    assert np.array_equal(part, whole[2 * rate : 2 * rate + rate * 3 // 2])
    behind, _ = read_audio(path, offset=Fraction(100), duration=Fraction(1))
    assert len(behind) == 0


def test_pause_in_a_stream_becomes_silence(tmp_path: Path) -> None:
    """Packets that were lost must not pull the rest of the sound forward."""
    av = pytest.importorskip("av")
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("pcm_s16le", rate=16000)
        stream.codec_context.layout = "mono"
        for at in (0, 32000):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 16000), 8000, np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 16000, at, Fraction(1, 16000)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    mono = read_mono(path)
    assert len(mono) == pytest.approx(48000, abs=32)
    assert not mono[16100:31900].any()
    assert np.abs(mono[32100:47900] - 8000 / 32768).max() < 0.01


def test_fitted_pads_and_cuts() -> None:
    def blocks() -> list[AudioBlock]:
        ones = np.ones((10, 1), np.float32)
        return [AudioBlock(Fraction(1), ones), AudioBlock(Fraction(2), ones)]

    def run(start: int, stop: int | None) -> list[float]:
        limit = None if stop is None else Fraction(stop)
        parts = list(fitted(iter(blocks()), rate=10, start=Fraction(start), stop=limit))
        return [float(v) for part in parts for v in part[:, 0]]

    assert run(0, None) == [0.0] * 10 + [1.0] * 20
    assert run(2, None) == [1.0] * 10
    assert run(0, 1) == [0.0] * 10
    assert run(1, 2) == [1.0] * 10


def test_cancel(shared_media: Path) -> None:
    cancel = CancelToken()
    blocks = decode_audio(shared_media / "speech" / "en_jfk.mp3", cancel=cancel)
    next(blocks)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(blocks)


# --- ffmpeg ------------------------------------------------------------------------------


def test_ffmpeg_failure_tells_what_it_said(tmp_path: Path) -> None:
    builder = pytest.importorskip("ffmpeg")
    graph = builder.output(builder.input(str(tmp_path / "gone.wav")), str(tmp_path / "out.wav"))
    with pytest.raises(FfmpegFailed) as caught:
        ffmpeg.run(graph)
    assert caught.value.returncode != 0
    assert "gone.wav" in caught.value.log_tail


def test_ffmpeg_of_the_package_when_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundled = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    ffmpeg.ffmpeg_binary.cache_clear()
    try:
        assert ffmpeg.ffmpeg_binary() == Path(bundled.get_ffmpeg_exe())
    finally:
        ffmpeg.ffmpeg_binary.cache_clear()


def _aac(path: Path, channels: int, rate: int, seconds: float) -> Path:
    """A tone as raw AAC, whose files can be strung together."""
    with av.open(str(path), "w", format="adts") as made:
        stream = made.add_stream("aac", rate=rate)
        layout = {1: "mono", 2: "stereo"}[channels]
        stream.codec_context.layout = layout
        time = np.arange(round(seconds * rate)) / rate
        tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(
            np.tile(tone, (channels, 1)), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("channels", [None, 1, 2])
def test_sound_that_changes_its_channels_midway_is_read_to_the_end(
    tmp_path: Path, channels: int | None
) -> None:
    """Broadcasts do between programmes; the resampler refuses frames of another kind."""
    first = _aac(tmp_path / "a.aac", 2, 44100, 1.0).read_bytes()
    second = _aac(tmp_path / "b.aac", 1, 44100, 1.0).read_bytes()
    (tmp_path / "both.aac").write_bytes(first + second)
    samples, rate = read_audio(tmp_path / "both.aac", rate=16000, channels=channels)
    assert rate == 16000
    assert samples.shape[1] == (channels or 2)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.15)
    assert np.abs(samples[: rate // 2]).max() > 0.1
    assert np.abs(samples[-rate // 2 :]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("wav", "pcm_s16le"), ("flac", "flac"), ("m4a", "aac"), ("mp3", "libmp3lame"),
     ("opus", "libopus"), ("mka", "aac")],
)  # fmt: skip
def test_a_jump_gives_the_samples_of_the_whole(suffix: str, codec: str, tmp_path: Path) -> None:
    """Also where the format cannot jump to the sample, and everything is decoded."""
    rate = 48_000
    rng = np.random.default_rng(4)
    # Notes that never repeat, for encoders that think little of noise.
    notes = np.repeat(rng.uniform(150, 900, 12 * 8), rate // 8)
    wave = (0.4 * np.sin(2 * np.pi * np.cumsum(notes) / rate)).astype(np.float32)
    path = tmp_path / f"long.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate,
            frame_size=stream.codec_context.frame_size or 0,
        )  # fmt: skip
        for at in range(0, len(wave), rate):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + rate], "flt", "mono")
            frame.sample_rate, frame.pts = rate, at
            for piece in resampler.resample(frame):
                out.mux(stream.encode(piece))
        for piece in resampler.resample(None):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    blocks = list(decode_audio(path))
    start = blocks[0].start
    whole = np.concatenate([b.samples[:, 0] for b in blocks])
    for skip in (Fraction(9), Fraction(47123, 10_000)):
        jumped = decode_audio(path, skip=skip)
        parts = list(fitted(jumped, rate=rate, start=start + skip, stop=start + skip + 2))
        wanted = whole[round(skip * rate) :][: 2 * rate]
        # AAC draws its noise anew; a sample's shift would be 0.04 off at 900 Hz.
        assert np.abs(np.concatenate(parts)[:, 0] - wanted).max() < 0.01
    first = next(decode_audio(path, skip=Fraction(9)))
    assert first.start == start
    assert (len(first.samples) == 0) is (suffix != "mka")


def _spoken(seconds: float, rate: int = 48000) -> Samples:
    """Syllables: bursts of noise, four a second, with a pause in the middle."""
    t = np.arange(int(seconds * rate)) / rate
    rng = np.random.default_rng(3)
    loud = (np.sin(2 * np.pi * 4 * t) > 0) & (np.abs(t - seconds / 2) > 0.4)
    return (0.3 * rng.standard_normal(len(t)) * loud).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("wide", [2, 3, 4, 6, 8])
def test_an_inverted_channel_does_not_silence_the_voice(
    wide: int, noise: float, tmp_path: Path
) -> None:
    voice = _spoken(4.0)
    rng = np.random.default_rng(4)
    samples = noise * rng.standard_normal((len(voice), wide)).astype(np.float32)
    samples[:, 0] += voice
    samples[:, 1] -= 0.9 * voice
    path = tmp_path / "inverted.wav"
    _wav(path, samples.clip(-1, 1), 48000)
    heard = read_mono(path, rate=48000)
    # The louder channel, and it only: a constant weight, never a sum that comes and goes.
    fit = float(heard @ voice / (voice @ voice))
    assert 0.9 < fit < 1.1
    assert np.corrcoef(heard, voice)[0, 1] > 0.95
    assert np.corrcoef(heard[: len(voice) // 4], voice[: len(voice) // 4])[0, 1] > 0.95


def test_channels_that_do_not_cancel_are_added(tmp_path: Path) -> None:
    voice = _spoken(2.0)
    other = _spoken(2.0)[::-1]
    for left, right in (
        (voice, voice), (voice, other), (voice, 0 * voice), (voice, -0.3 * voice),
    ):  # fmt: skip
        path = tmp_path / "stereo.wav"
        _wav(path, np.stack([left, right], axis=1).clip(-1, 1), 48000)
        stereo, _ = read_audio(path)
        assert np.abs(read_mono(path, rate=48000) - stereo.mean(axis=1)).max() < 1e-4


def test_a_channel_that_is_inverted_for_a_while(tmp_path: Path) -> None:
    """From the first syllable on, and back again: nothing clicks, nothing is lost."""
    voice = _spoken(6.0)
    sign = np.ones(len(voice), np.float32)
    sign[2 * 48000 : 4 * 48000] = -1
    path = tmp_path / "partly.wav"
    _wav(path, np.stack([voice, sign * voice], axis=1).clip(-1, 1), 48000)
    heard = read_mono(path, rate=48000)
    for start in range(6):
        part = slice(start * 48000, (start + 1) * 48000)
        share = np.square(heard[part]).sum() / np.square(voice[part]).sum()
        assert share > 0.5, start
