"""Opus payloads read, decoded, concealed and encoded, with each of the codecs that may stand behind it."""

from __future__ import annotations

import ctypes
import math
import os
from array import array
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.audio import opus
from rtcli.audio.base import Decoder, Encoder


def tone(samples: int, *, hertz: float = 220.0, start: int = 0) -> bytes:
    """A voiced sound: a few harmonics, which SILK and so FEC are made for."""
    step = 2 * math.pi * hertz / 48_000
    return array(
        "h",
        (int(4000 * sum(math.sin(k * step * (start + i)) / k for k in range(1, 6))) for i in range(samples)),
    ).tobytes()


def energy(pcm: bytes) -> float:
    samples = array("h", pcm)
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def difference(one: bytes, other: bytes) -> float:
    a, b = array("h", one), array("h", other)
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a))


@pytest.fixture(params=["libopus", "system", "PyAV"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The codec in use: PyAV's libopus, the system's where PyAV carries none, PyAV's own where there is neither."""
    if request.param == "PyAV":
        monkeypatch.setattr(opus, "_libopus", lambda: (None, ""))
    if request.param == "system":
        monkeypatch.setattr(opus, "_bundled", lambda: iter(()))
        found = opus._libopus.__wrapped__()
        if found[0] is None and not os.environ.get("RTCLI_REQUIRE_ALL"):
            pytest.skip("the system has no libopus")
        monkeypatch.setattr(opus, "_libopus", lambda: found)
    return str(request.param)


def encoded(encoder: Encoder, count: int, *, samples: int = 960) -> list[bytes]:
    return [encoder.encode(tone(samples, start=i * samples)) for i in range(count)]


@pytest.mark.parametrize(
    ("first", "samples"),
    [
        (0b00000_000, 480),
        (0b00011_000, 2880),
        (0b01100_000, 480),
        (0b01101_100, 960),
        (0b10000_000, 120),
        (0b11111_000, 960),
        (0b11111_001, 1920),
        (0b00011_010, 5760),
    ],
)
def test_the_first_byte_tells_the_duration(first: int, samples: int) -> None:
    assert opus.packet_samples(bytes([first, 0, 0])) == samples


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xfb", b"\xfb\x00", b"\xfb\x3f", bytes([0b00011_011, 3]), b"\xf8" + bytes(70_000)],
    ids=["empty", "no count", "no frames", "63 frames", "180 ms", "huge"],
)
def test_a_malformed_payload_has_no_duration(payload: bytes) -> None:
    assert opus.packet_samples(payload) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(payload: bytes) -> None:
    assert 0 <= opus.packet_samples(payload) <= opus.LONGEST
    assert opus.carries_fec(payload) in {True, False}


@given(st.binary(max_size=200))
def test_our_reading_of_a_packet_agrees_with_libopus(payload: bytes) -> None:
    library, _ = opus._libopus()
    has_lbrr = getattr(library, "opus_packet_has_lbrr", None)
    if library is None or has_lbrr is None:
        pytest.skip("this libopus is older than 1.5")
    theirs = has_lbrr(ctypes.c_char_p(payload), ctypes.c_int32(len(payload)))
    if payload and theirs >= 0 and opus.packet_samples(payload):
        assert opus.carries_fec(payload) == bool(theirs)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_decoder_survives_garbage_and_gives_what_the_payload_claims(payloads: list[bytes]) -> None:
    decoder = opus.make_decoder()
    for payload in payloads:
        assert len(decoder.decode(payload)) == 2 * opus.packet_samples(payload)
        recovered = decoder.recover(payload, 960)
        assert recovered is None or len(recovered) == 1920


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_a_voice_comes_back_as_loud_as_it_went_in(codec: str, frame_ms: int) -> None:
    samples = frame_ms * 48
    encoder, decoder = opus.make_encoder(frame_ms), opus.make_decoder()
    packets = encoded(encoder, 600 // frame_ms, samples=samples)
    pcm = [decoder.decode(packet) for packet in packets]
    assert all(opus.packet_samples(packet) == samples for packet in packets)
    assert all(len(block) == 2 * samples for block in pcm)
    assert energy(b"".join(pcm[5:])) == pytest.approx(energy(tone(9600)), rel=0.25)


def test_the_rate_suits_a_voice(codec: str) -> None:
    packets = encoded(opus.make_encoder(), 100)
    assert 20_000 < sum(map(len, packets)) * 8 / 2 < 36_000


@pytest.mark.parametrize("samples", [120, 480, 777, 960, 2880])
def test_concealment_goes_on_in_the_voice_s_manner(codec: str, samples: int) -> None:
    encoder, decoder = opus.make_encoder(), opus.make_decoder()
    for packet in encoded(encoder, 10):
        decoder.decode(packet)
    guess = decoder.conceal(samples)
    assert len(guess) == 2 * samples
    assert energy(guess) > 500


def test_a_lost_packet_is_rebuilt_better_from_fec_than_by_guessing() -> None:
    packets = encoded(opus.make_encoder(), 12)
    assert opus.carries_fec(packets[11])
    truth, fec, guess = (opus.make_decoder() for _ in range(3))
    if not fec.has_fec:
        pytest.skip("no libopus on this machine: PyAV alone has no FEC")
    for decoder in (truth, fec, guess):
        for packet in packets[:10]:
            decoder.decode(packet)
    real = truth.decode(packets[10])
    rebuilt = fec.recover(packets[11], 960)
    assert rebuilt is not None
    assert difference(rebuilt, real) < difference(guess.conceal(960), real)


def test_a_packet_without_fec_recovers_nothing() -> None:
    assert opus.make_decoder().recover(b"\xf8\x00\x00", 960) is None


def test_stereo_payloads_come_out_mono() -> None:
    library, _ = opus._libopus()
    assert library is not None
    error = ctypes.c_int()
    state = ctypes.c_void_p(library.opus_encoder_create(48_000, 2, 2048, ctypes.byref(error)))
    out = ctypes.create_string_buffer(1500)
    pcm = array("h", [sample for sample in array("h", tone(960)) for _ in range(2)]).tobytes()
    size = library.opus_encode(state, pcm, 960, out, 1500)
    library.opus_encoder_destroy(state)
    assert out.raw[0] & 4
    assert len(opus.make_decoder().decode(out.raw[:size])) == 1920


def test_which_codec_is_in_use_is_said(codec: str) -> None:
    decoder = opus.make_decoder()
    assert decoder.has_fec == (codec != "PyAV")
    assert decoder.name == {"libopus": "libopus (PyAV)", "system": "libopus (system)", "PyAV": "PyAV"}[codec]


@pytest.mark.parametrize("make", [opus.make_encoder])
def test_a_frame_of_another_length_is_refused(codec: str, make: Callable[[], Encoder]) -> None:
    with pytest.raises(ValueError, match="expected 1920"):
        make().encode(bytes(1000))
    with pytest.raises(ValueError, match="no Opus frame of 15 ms"):
        opus.make_encoder(15)


def test_a_library_that_is_no_opus_is_passed_over() -> None:
    assert opus._load("libc.so.6") is None
    assert opus._load("no-such-library.so") is None


def test_decoders_share_nothing(codec: str) -> None:
    packets = encoded(opus.make_encoder(), 6)
    one, other = opus.make_decoder(), opus.make_decoder()
    decoders: list[Decoder] = [one, other]
    outputs = [[decoder.decode(packet) for packet in packets] for decoder in decoders]
    assert outputs[0] == outputs[1]
