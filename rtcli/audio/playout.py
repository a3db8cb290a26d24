"""The playout: what stands between arriving RTP and the loudspeaker.

`add` and `clear` are called on the event loop and only append to a bounded queue; everything else belongs to the
thread that calls `pull`, so there is no lock and nothing to wait for. There is no clock inside: the time line is the
speaker's own count of samples taken, and `now` serves only for what is told to others (when a sound was heard).

Two lines run side by side: the speaker's samples and the media's timestamps. Their distance is the delay. It is held
at the target (`arrivals`) by playing a pitch period less or more (`stretch`), by cutting or lengthening what is quiet,
and by not playing holes. What is missing when its time comes is rebuilt from the next packet's FEC, else concealed;
when nothing newer has come either, the position waits, so that a late packet is played and not thrown away.

Longer than 400 lines because the state of the time line is one thing and stays in one place.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable

from rtcli.audio import stretch
from rtcli.audio.arrivals import Arrivals
from rtcli.audio.base import RATE, Decoder
from rtcli.audio.opus import LONGEST, carries_fec, packet_samples
from rtcli.audio.stretch import Pcm
from rtcli.audio.timeline import Cutoff, Drift, TimeLine
from rtcli.records import dataclass
from rtcli.transport.base import RtpPacket


Played = Callable[[bytes, int, float], None]
"""`played(pcm, position, now)`: samples handed to the speaker, the index of the first on the speaker's count, and when.

Called in the speaker's thread: must copy and return.
"""

SETTLE = 0.25
"""Seconds after `clear` for which what still comes of the interrupted answer is thrown away."""
AUDIBLE = 150
"""Peak (of 32768) from which a block counts as sound: -47 dBFS."""

_INBOX = 512
_PACKETS = 300
_MS = RATE // 1000
_STEP = 480
_GUESS_MOST = 5760
"""Samples concealed in one go before silence: 120 ms, after which a guess is noise."""
_BACKLOG = RATE
"""Delay beyond the target that is thrown away rather than played faster."""
_FINE = 60
"""Samples off the target that are put right in a pause, where nobody hears it."""
_TOO_MUCH = 360
"""Samples above the target from which a period of speech is taken out."""
_TOO_LITTLE = -240
"""And below, from which one is put in."""
_HURRY = 4800
"""Delay beyond the target (100 ms) from which less alike periods are folded too."""
_PAUSE = RATE // 4
"""A first packet after silence that is this far off the target came after a pause the timestamps do not show."""
_SLACK = 240
"""A period may overshoot the target by this much."""
_ALIKE_IN_A_HURRY = 0.5
_QUIET = 32
"""Below the loudest sound of late by this factor (30 dB), what is played is a pause."""
_SPANS = 64


@dataclass(frozen=True, slots=True)
class PlayoutStats:
    depth_ms: float
    """Sound that waits: from the sample due now to the newest that came."""
    target_ms: float
    """Depth aimed at: the delay the arrivals ask for, above the fastest packet's."""
    played_ms: float
    """Sound given to the speaker since the first packet, silence of the time line included."""
    received: int
    """Packets."""
    late: int
    """Packets that came after their time: concealed before, thrown away then."""
    lost: int
    """Packets that were not there when their time came."""
    duplicates: int
    dropped: int
    """Packets thrown away: above a bound, stale after a barge-in, or no Opus."""
    concealed_ms: float
    """Sound guessed because nothing was there."""
    fec: int
    """Packets rebuilt from the one after them."""
    stretched_ms: float
    """Sound put in to gain delay."""
    cut_ms: float
    """Sound taken out to lose delay."""
    skipped_ms: float
    """Backlog thrown away unheard."""
    drift_ppm: float
    """The sender's clock against the speaker's; positive when the sender's is faster."""
    decoder: str
    has_fec: bool
    faults: int
    """Exceptions swallowed in the speaker's thread: each one is a bug."""


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    media: int
    samples: int
    decoder: Decoder
    arrival: float
    earlier: int
    """Samples of the packet before it that it carries as FEC."""


@dataclass(frozen=True, slots=True)
class _Clear:
    now: float
    settle: float


@dataclass(frozen=True, slots=True)
class _Resume:
    pass


class Playout:
    """One call's receiving end. Implements transport's `AudioSink`."""

    def __init__(self, decoder_factory: Callable[[], Decoder], *, played: Played | None = None) -> None:
        self.played = played
        self.level = 0.0
        """Peak of the block played last, 0 to 1."""
        self._make_decoder = decoder_factory
        self._decoder: Decoder = decoder_factory()
        self._inbox: deque[tuple[RtpPacket, float] | _Clear | _Resume] = deque()
        self._arrivals = Arrivals()
        self._waiting: dict[int, _Waiting] = {}
        self._out: Pcm = array("h")
        self._taken = 0
        """Samples the speaker has taken."""
        self._position = 0
        """Media time of the next sample to decode."""
        self._started = False
        self._silent = True
        """Nothing is playing: the position floats until the next packet is due."""
        self._paused = False
        """Silent because nothing came, not because of a barge-in or the call's beginning."""
        self._guessed = 0
        """Samples concealed since the last real one."""
        self._held = 0
        """Samples concealed while the position waited."""
        self._seam = True
        """What comes next does not follow from the sample before."""
        self._comfort = False
        """The last packet was a DTX one: its noise goes on."""
        self._tail = 0
        """The sample handed out last."""
        self._quiet = False
        """The last packet held a pause."""
        self._loud = 0
        """Peak of late, slowly forgotten."""
        self._line = TimeLine()
        self._cutoff: Cutoff | None = None
        self._spans: deque[tuple[float, float, float]] = deque(maxlen=_SPANS)
        """Audible: from, to, and when the packet came that it begins with."""
        self._voiced = False
        """What was decoded last was audible."""
        self._voiced_came = 0.0
        """When the packet came with which it began to be."""
        self._drift = Drift()
        self._count = _Count()
        self._overflow = 0

    # On the event loop

    def add(self, packet: RtpPacket, now: float) -> None:
        """Take one packet. When the speaker has stopped pulling, what is above the bound is dropped and counted."""
        if len(self._inbox) >= _INBOX:
            self._overflow += 1
            return
        self._inbox.append((packet, now))

    def clear(self, now: float, *, settle: float = SETTLE) -> None:
        """Barge-in: silence from the next block on.

        What has come is forgotten, and for `settle` seconds also what still comes of the same talk spurt. The next
        answer is let through earlier when its first packet has the marker bit or follows a gap, or by `resume`.
        """
        self._inbox.append(_Clear(now, settle))

    def resume(self) -> None:
        """The next answer begins (`output_audio_buffer.started`): what comes from now on is heard."""
        self._inbox.append(_Resume())

    # From any thread

    def first_sound_after(self, moment: float) -> float | None:
        """When the first audible sample at or after `moment` went to the speaker; None when none has."""
        for start, end, _ in list(self._spans):
            if end > moment:
                return max(start, moment)
        return None

    def came_at(self, sound: float) -> float | None:
        """When the packet came that the sound begins with which began at `sound`; None for the middle of a sound."""
        return next((came for start, _, came in list(self._spans) if start == sound), None)

    @property
    def last_sound(self) -> float | None:
        """When the last audible block ended; None when none was played."""
        spans = list(self._spans)
        return spans[-1][1] if spans else None

    def stats(self) -> PlayoutStats:
        count = self._count
        return PlayoutStats(
            depth_ms=count.depth / _MS,
            target_ms=count.target / _MS,
            played_ms=count.played / _MS,
            received=count.received,
            late=count.late,
            lost=count.lost,
            duplicates=count.duplicates,
            dropped=count.dropped + self._overflow,
            concealed_ms=count.concealed / _MS,
            fec=count.fec,
            stretched_ms=count.stretched / _MS,
            cut_ms=count.cut / _MS,
            skipped_ms=count.skipped / _MS,
            drift_ppm=self._drift.ppm,
            decoder=self._decoder.name,
            has_fec=self._decoder.has_fec,
            faults=count.faults,
        )

    # In the speaker's thread

    def pull(self, samples: int, now: float) -> bytes:
        """Exactly `samples` samples (s16le) that are due now; silence when there are none. Never raises."""
        try:
            self._drain()
            while len(self._out) < samples:
                self._produce()
            block = self._out[:samples]
            del self._out[:samples]
        except Exception:  # noqa: BLE001 - an exception would end the speaker's thread, and with it the sound for good
            self._count.faults += 1
            block = array("h", bytes(2 * samples))
            self._out = array("h")
        self._taken += samples
        self._tail = block[-1] if block else self._tail
        pcm = block.tobytes()
        self._tell(block, pcm, now)
        return pcm

    def _tell(self, block: Pcm, pcm: bytes, now: float) -> None:
        loudest = stretch.peak(block)
        self.level = loudest / 32768
        if loudest >= AUDIBLE:
            self._mark(block, now)
        if self._started:
            self._count.played += len(block)
        if self.played is not None:
            self.played(pcm, self._taken - len(block), now)

    def _mark(self, block: Pcm, now: float) -> None:
        """Note that `block` was audible, from its first audible sample on."""
        end = now + len(block) / RATE
        if self._spans and now - self._spans[-1][1] < 0.05:
            start, _, came = self._spans[-1]
            self._spans[-1] = (start, end, came)
            return
        first = next((i for i, sample in enumerate(block) if abs(sample) >= AUDIBLE), 0)
        self._spans.append((now + first / RATE, end, self._voiced_came))

    def _drain(self) -> None:
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if isinstance(item, _Clear):
                self._clear(item)
            elif isinstance(item, _Resume):
                self._cutoff = None
            else:
                self._accept(*item)
        if self._count.received:
            self._throw_backlog()
            self._count.depth = max(0, self._line.newest - self._position + len(self._out)) if not self._silent else 0
            self._count.target = self._arrivals.target - self._arrivals.least

    def _accept(self, packet: RtpPacket, arrival: float) -> None:
        self._count.received += 1
        samples = packet_samples(packet.payload)
        if not samples:
            self._count.dropped += 1
            return
        place = self._line.place(packet, samples)
        if place is None:
            self._count.dropped += 1
            return
        if place.new_stream:
            self._decoder = self._make_decoder()
        need = self._taken - place.media
        if place.new_line or (self._silent and abs(need - self._arrivals.target) > _PAUSE):
            self._arrivals.restart()
            self._drift.restart()
        earlier = samples if self._decoder.has_fec and carries_fec(packet.payload) else 0
        self._drift.note(self._taken, need)
        self._arrivals.slope = self._drift.slope
        self._arrivals.arrived(place.media, need, earlier=earlier)
        if self._stale(packet, place.media, arrival):
            self._count.dropped += 1
            return
        self._queue(_Waiting(packet.payload, place.media, samples, self._decoder, arrival, earlier))

    def _queue(self, packet: _Waiting) -> None:
        if self._started and packet.media + packet.samples <= self._position:
            self._count.late += 1
        elif packet.media in self._waiting:
            self._count.duplicates += 1
        elif len(self._waiting) >= _PACKETS:
            self._count.dropped += 1
        else:
            self._waiting[packet.media] = packet

    def _clear(self, order: _Clear) -> None:
        self._count.dropped += len(self._waiting)
        self._waiting.clear()
        # A decoder rings on: from the state the interrupted voice left, even a packet of silence gives 10 ms of it.
        self._decoder = self._make_decoder()
        last = self._out[0] if self._out else 0
        self._out = stretch.fade_out(last, min(len(self._out), _STEP) or 1)
        self._silent = True
        self._paused = False
        self._guessed = self._held = 0
        self._position = max(self._position, self._line.newest)
        self._cutoff = Cutoff(self._line.newest, order.now + order.settle, round(order.settle * RATE))

    def _stale(self, packet: RtpPacket, media: int, arrival: float) -> bool:
        """Whether a packet belongs to the answer that was interrupted."""
        if self._cutoff is None:
            return False
        verdict = self._cutoff.judge(media, arrival, starts=packet.marker and self._line.marker_means)
        if verdict is None:
            self._cutoff = None
            return False
        return verdict

    def _throw_backlog(self) -> None:
        """After a stall of the speaker or a burst: what is a second too old is not worth hearing."""
        excess = self._excess()
        if self._silent or excess < _BACKLOG:
            return
        self._position += excess
        self._seam = True
        self._count.skipped += excess
        for media in [m for m, p in self._waiting.items() if m + p.samples <= self._position]:
            del self._waiting[media]

    def _excess(self) -> int:
        """Samples by which the delay is above the target."""
        return self._taken + len(self._out) - self._position - self._arrivals.target

    def _produce(self) -> None:
        """Put at least one sample into `_out`."""
        packet = self._waiting[min(self._waiting)] if self._waiting else None
        if packet is None:
            self._hold()
        elif self._silent:
            self._wake(packet)
        elif packet.media > self._position:
            self._bridge(packet)
        else:
            self._play(packet)

    def _wake(self, packet: _Waiting) -> None:
        """Silence until the first packet of a talk spurt is due, or the lost one before it that its FEC brings back."""
        lead = self._lost_onset(packet)
        early = packet.media - lead + self._arrivals.target - self._taken - len(self._out)
        if early > 0:
            self._out.extend(array("h", bytes(2 * min(early, _STEP))))
            return
        self._silent = self._voiced = False
        self._started = self._seam = True
        self._position = packet.media - lead
        if not lead or not self._rebuild(packet, lead, 0):
            self._position = packet.media
            self._play(packet)

    def _lost_onset(self, packet: _Waiting) -> int:
        """Samples of the packet before this one, when that was lost in a pause and is in this one's FEC, else 0."""
        return packet.earlier if self._paused and packet.media - packet.earlier >= self._position else 0

    def _hold(self) -> None:
        """Nothing is there: guess on for a while without moving on, then fall silent; in a pause at once."""
        enough = RATE if self._comfort else 0 if self._quiet else _GUESS_MOST
        if self._silent or self._guessed >= enough:
            self._fall_silent()
            return
        self._guess(_STEP)
        self._held += _STEP

    def _fall_silent(self) -> None:
        if not self._silent:
            self._out.extend(stretch.fade_out(self._last(), _STEP))
            self._silent = self._paused = True
            self._held = self._guessed = 0
            return
        self._out.extend(array("h", bytes(2 * _STEP)))

    def _guess(self, samples: int) -> None:
        self._out.frombytes(self._decoder.conceal(samples))
        self._guessed += samples
        if not self._comfort:
            self._count.concealed += samples

    def _bridge(self, packet: _Waiting) -> None:
        """The position's packet is missing and a newer one is there: get over the hole."""
        gap = packet.media - self._position
        # What was guessed while the position waited counts for the hole, unless more delay is wanted anyway.
        covered = min(self._held, gap) if self._excess() > self._held // 2 else 0
        if covered >= gap:
            # Late, but real: a guess instead of it costs words, 20 ms more of delay are gone at the next pause.
            covered = max(0, gap - packet.earlier)
        if not self._rebuild(packet, gap, covered):
            self._cross(gap, covered)

    def _rebuild(self, packet: _Waiting, gap: int, covered: int) -> bool:
        """Play the lost packet from the FEC of the next one, but for the `covered` samples guessed already."""
        left = gap - covered
        if left <= 0 or gap > LONGEST:
            return False
        # FEC covers one packet; libopus guesses what is missing before it, and is not asked twice for what it guessed.
        asked = max(left, packet.samples)
        pcm = packet.decoder.recover(packet.payload, asked)
        if pcm is None:
            return False
        self._count.fec += 1
        self._count.lost += 1
        self._count.concealed += max(0, left - packet.samples)
        self._position = packet.media
        self._append(array("h", pcm)[asked - left :], packet.arrival)
        return True

    def _cross(self, gap: int, covered: int) -> None:
        """Move on over a hole: past what was guessed, past what is too late to be guessed, at last by guessing."""
        self._held = 0
        self._seam = True
        skip = min(gap - covered, max(0, self._excess()))
        self._count.skipped += skip
        guess = min(gap - covered - skip, 2 * _STEP)
        if guess and self._guessed < _GUESS_MOST:
            self._guess(guess)
        elif guess:
            self._out.extend(array("h", bytes(2 * guess)))
        self._position += covered + skip + guess
        self._count.lost += 1

    def _play(self, packet: _Waiting) -> None:
        del self._waiting[packet.media]
        pcm = array("h", packet.decoder.decode(packet.payload))
        if packet.media < self._position:
            del pcm[: self._position - packet.media]
            self._seam = True
        self._comfort = len(packet.payload) <= 2
        self._quiet = self._is_quiet(pcm)
        excess = self._excess()
        self._position = packet.media + packet.samples
        self._append(pcm, packet.arrival)
        if abs(excess) > _FINE:
            self._fit(excess)

    def _append(self, pcm: Pcm, arrival: float) -> None:
        """Real sound goes on behind what was played; where the two do not belong together the step is smoothed."""
        if self._guessed or self._seam:
            stretch.join(self._last(), pcm)
        self._guessed = self._held = 0
        self._seam = False
        self._out.extend(pcm)
        audible = stretch.peak(pcm) >= AUDIBLE
        if audible and not self._voiced:
            self._voiced_came = arrival
        self._voiced = audible

    def _last(self) -> int:
        return self._out[-1] if self._out else self._tail

    def _fit(self, excess: int) -> None:
        """Bring the delay nearer to the target: in a pause by as much as is off, in speech by whole periods."""
        before = len(self._out)
        if self._quiet:
            fit = (
                stretch.cut(self._out, excess) if excess > 0 else stretch.lengthen(self._out, min(-excess, before // 2))
            )
        elif excess > _TOO_MUCH:
            fit = self._without_a_period(excess)
        elif excess < _TOO_LITTLE:
            fit = self._with_a_period_more()
        else:
            return
        self._out = fit
        self._count.cut += max(0, before - len(fit))
        self._count.stretched += max(0, len(fit) - before)

    def _without_a_period(self, excess: int) -> Pcm:
        lag, alike = stretch.period(self._out, excess + _SLACK)
        enough = alike >= (stretch.ALIKE if excess < _HURRY else _ALIKE_IN_A_HURRY)
        return stretch.shorten(self._out, lag) if enough else self._out

    def _with_a_period_more(self) -> Pcm:
        lag, alike = stretch.period(self._out)
        return stretch.lengthen(self._out, lag) if alike >= stretch.ALIKE else self._out

    def _is_quiet(self, pcm: Pcm) -> bool:
        loudest = stretch.peak(pcm)
        self._loud = max(loudest, self._loud - self._loud // 64)
        return loudest < max(AUDIBLE, self._loud // _QUIET)


@dataclass(slots=True)
class _Count:
    """Counters of the pulling thread; samples and packets."""

    received: int = 0
    late: int = 0
    lost: int = 0
    duplicates: int = 0
    dropped: int = 0
    fec: int = 0
    faults: int = 0
    played: int = 0
    concealed: int = 0
    stretched: int = 0
    cut: int = 0
    skipped: int = 0
    depth: int = 0
    target: int = 0
