"""Rates, pace and formants: numpy alone, no model."""

from __future__ import annotations

from typing import Any

import pytest


pytestmark = pytest.mark.speech

np = pytest.importorskip("numpy", reason="THE SOUND OF THE SPEECH ENGINE IS NOT TESTED: numpy is not installed")

from rtcli.sandbox.engine.resample import EAR_RATE, RATE, Downsampler, stretch, to_pcm  # noqa: E402 - they need numpy
from rtcli.sandbox.engine.timbre import paced, with_formants  # noqa: E402 - they need numpy


VOICE_RATE = 24_000


def tone(hertz: float, rate: int, seconds: float = 1.0, peak: float = 0.5) -> Any:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def level(sound: Any) -> float:
    """dBFS of the middle, where no edge is."""
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    return float(10 * np.log10(np.mean(middle**2) + 1e-12))


def pitch(sound: Any, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))


def buzz(hertz: int, formant: float) -> Any:
    """Harmonics of a fundamental, strongest around the formant."""
    weights = {n: np.exp(-(((n * hertz - formant) / 200) ** 2)) + 0.01 for n in range(1, 8_000 // hertz)}
    return sum(weight * tone(n * hertz, VOICE_RATE, peak=0.1) for n, weight in weights.items())


def strongest(sound: Any) -> float:
    """Centre of the spectrum in Hertz."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(sound), 1 / VOICE_RATE)) / np.sum(power))


@pytest.mark.parametrize("hertz", [100, 1_000, 3_000, 6_000])
def test_speech_passes_the_downsampler(hertz: int) -> None:
    heard = Downsampler().feed(to_pcm(tone(hertz, RATE)))
    assert abs(len(heard) - EAR_RATE) <= 1
    assert abs(level(heard) - level(tone(hertz, RATE))) < 0.5
    assert abs(pitch(heard, EAR_RATE) - hertz) < 5


@pytest.mark.parametrize("hertz", [9_500, 12_000, 15_900, 20_000])
def test_what_would_fold_back_is_taken_out(hertz: int) -> None:
    assert level(Downsampler().feed(to_pcm(tone(hertz, RATE)))) < level(tone(hertz, RATE)) - 60


@pytest.mark.parametrize("step", [1, 7, 960, 1_919])
def test_pieces_of_any_length_give_the_same_samples(step: int) -> None:
    pcm = to_pcm(tone(440, RATE, 0.1))
    down = Downsampler()
    parts = np.concatenate([down.feed(pcm[at : at + step]) for at in range(0, len(pcm), step)])
    assert np.allclose(parts, Downsampler().feed(pcm), atol=1e-6)


@pytest.mark.parametrize("ratio", [1.7, 2.0, 2.4])
def test_a_stretched_tone_has_its_level_and_another_pitch(ratio: float) -> None:
    sound = tone(440, VOICE_RATE)
    longer = stretch(sound, round(len(sound) * ratio))
    assert len(longer) == round(len(sound) * ratio)
    assert abs(level(longer) - level(sound)) < 0.2
    assert abs(pitch(longer, VOICE_RATE) - 440 / ratio) < 3


def test_pcm_is_clipped_not_wrapped() -> None:
    assert list(np.frombuffer(to_pcm(np.array([2.0, -2.0, 0.0])), "<i2")) == [32_767, -32_767, 0]


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.3, 2.0])
def test_pace_changes_the_length_and_keeps_pitch_and_level(rate: float) -> None:
    sound = tone(200, VOICE_RATE)
    changed = paced(sound, rate)
    assert abs(len(changed) * rate / len(sound) - 1) < 0.06
    assert abs(pitch(changed, VOICE_RATE) - 200) < 6
    assert abs(level(changed) - level(sound)) < 1


@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_formants_move_and_the_pitch_stays(ratio: float) -> None:
    sound = buzz(200, 1_200)
    moved = with_formants(sound, ratio)
    assert len(moved) == len(sound)
    assert abs(strongest(moved) / (strongest(sound) * ratio) - 1) < 0.12
    peaks = np.abs(np.fft.rfft(moved))
    assert np.argmax(peaks[:12_000]) % 200 in {0, 1, 199}


def test_formants_left_in_place_leave_the_sound_as_it_is() -> None:
    sound = buzz(200, 1_200)
    assert np.max(np.abs(with_formants(sound, 1.0) - sound)) < 0.01


@pytest.mark.parametrize("samples", [1, 100, 700])
def test_very_short_sounds_are_taken(samples: int) -> None:
    sound = tone(200, VOICE_RATE)[:samples]
    assert len(with_formants(sound, 1.1)) == samples
    assert len(paced(sound, 1.2)) > 0
