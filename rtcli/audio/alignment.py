"""Which samples of the loudspeaker belong to a block of the microphone.

Both are counted. As long as neither device loses any, the echo of sample n of the speaker comes back at sample n - k of
the microphone with the same k: whatever the callbacks' hurry or delay, and however late a busy interpreter gets to
them. So the reference is read strictly by the microphone's count. Following the speaker closely instead loses k
whenever three blocks of the microphone come at once, and the canceller with it: 75 dB of it became 10 for seconds.

When k does change (an underrun, lost blocks, a stream opened again, drift) no count shows by how much. Then the sound
itself is asked: the microphone's last 100 ms are looked for in what was played.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import Any

from rtcli.audio.base import BLOCK, RATE, SILENCE
from rtcli.audio.stretch import peak


MARGIN = 3 * BLOCK
"""Samples kept between the reference and the speaker, for callbacks that come late; the echo takes longer than that."""
WINDOW = 100
"""Blocks (one second) over which the distance to the speaker is judged."""
TOO_FAR = 15 * BLOCK
"""Samples beyond the margin that show that the microphone lost some."""
PATIENCE = 20
"""Blocks (200 ms) that a speaker may be late; one that is later has run dry."""
PIECE = 10 * BLOCK
"""Samples of the microphone looked for: 100 ms."""
REACH = 12 * RATE // 10
"""Longest way from the speaker to the microphone: 1.2 s, which only a sound server that was held up needs."""
UNLIKE, ALIKE, SURE = 0.5, 0.7, 0.9
"""Normalised correlation below which the piece is mostly a user, from which it was found, and from which it is the
speaker and hardly anything else.
"""
AUDIBLE = 150
"""Level (RMS, of 32768) from which the microphone hears something to speak of."""
GOOD, POOR, HOPELESS = 15.0, 8.0, 4.0
"""dB taken out of late above which the canceller has learned its room, and below which it has lost it.

Where the microphone hears the speaker for `SURE`, and at most `HOPELESS` is taken out, no user makes it look bad.
"""
LOOK_WHEN_GOOD, LOOK_WHEN_POOR = 40, 2
"""Blocks between two looks at where the echo is."""
APART = 96
"""Samples (2 ms) from which reference and echo count as apart: less is a room's reflections, or slow drift."""
SAME = 24
"""Samples (half a millisecond) by which two findings of one echo may differ."""
SPEAKERS = 0.15
"""Share of what is left, by energy, from which it is the speaker's: of a leak it was 0.3 (median), of a user 0.02."""
DELAY = BLOCK
"""Samples that the canceller may keep a sound back, at most."""
DOUBT = 10
"""Blocks of silence while it is not sure whether what is left is the speaker."""
PROVEN = 30
"""Blocks in a row that a canceller must do well to be believed when it then does badly: that is a user.

After 10, which a soft stretch of a voice may hold, it still let a third of a second of what followed through.
"""
PROOF, SHORT_PROOF = 60, 30
"""Blocks for which it is not believed before: for sure moved, and perhaps moved. Then a user must be heard."""
JUMP = 4 * BLOCK
"""Samples by which the speaker may get ahead of the microphone, or fall back, at once without being suspected."""
NEAREST, AIM, FARTHEST = BLOCK // 2, 6 * BLOCK, 25 * BLOCK
"""Samples from the reference to its echo: what a canceller needs at least, what is aimed at, what it still reaches."""

_BUNCH = 12
"""Blocks in which every bunch of callbacks is over."""
_LEADS = 50
"""Blocks over which the least lead counts."""
_RECENT = 5
"""Blocks over which the canceller is judged."""
_HISTORY = 3 * RATE
_COARSE = 6
"""48 kHz to 8 kHz for the first search."""


class Reference:
    """The played samples, a block for each of the microphone's."""

    def __init__(self) -> None:
        self.matched_anew = 0
        """Times that speaker and microphone had come apart."""
        self.base: int | None = None
        """Count of the speaker's sample given with the microphone's first; None before the speaker began."""
        self.end = 0
        """Samples the speaker has taken."""
        self.lead = 0
        """Samples by which the speaker was ahead of late at the least: bunches of callbacks do not move it."""
        self._leads: deque[int] = deque(maxlen=_LEADS)
        self.disturbed = 0
        """Grows with whatever may have moved speaker and microphone apart."""
        self._sounded = -REACH
        """Count of the last audible sample."""
        self._pcm = bytearray()
        self._heard = 0
        """Samples the microphone has given."""
        self._least = self._most = 0
        self._blocks = 0
        self._level: int | None = None
        self._dry = 0

    def add(self, pcm: bytes) -> None:
        self._pcm += pcm
        self.end += len(pcm) // 2
        if peak(array("h", pcm)) >= AUDIBLE:
            self._sounded = self.end
        excess = len(self._pcm) - 2 * _HISTORY
        if excess > 0:
            del self._pcm[:excess]

    def take(self) -> bytes:
        """The block that belongs to the microphone's next one; silence where the speaker gave nothing."""
        if self.base is None:
            if self.end < BLOCK + MARGIN:
                self._heard += BLOCK
                return SILENCE
            self.base = self.end - BLOCK - MARGIN - self._heard
        start = self.base + self._heard
        self._heard += BLOCK
        lead = self.end - start
        self._leads.append(lead)
        self.lead = min(list(self._leads)[-_BUNCH:])
        self._observe(lead)
        if lead < BLOCK:
            self._run_dry()
            return SILENCE
        self._dry = 0
        return self.played(start, start + BLOCK)

    def played(self, start: int, end: int) -> bytes:
        """Samples by the speaker's count; silence for what is forgotten."""
        begin = self.end - len(self._pcm) // 2
        missing = min(max(0, begin - start), end - start)
        return bytes(2 * missing) + bytes(self._pcm[2 * (start + missing - begin) : 2 * (end - begin)])

    def sounded_within(self, samples: int) -> bool:
        """Whether something audible was among the last samples played."""
        return self.end - self._sounded < samples

    def has_room(self, samples: int) -> bool:
        """Whether it can be shifted by so much without running dry whenever the speaker's callbacks are late."""
        return min(self._leads, default=0) - samples >= BLOCK

    def shift(self, samples: int) -> None:
        """Give samples that were played later (positive) or earlier from now on."""
        assert self.base is not None
        self._leads.clear()
        self.base += samples
        self.matched_anew += 1
        self.disturbed += 1
        self._begin_window()
        self._level = None if self._level is None else self._level - samples

    def _run_dry(self) -> None:
        """A speaker that takes nothing for long plays nothing: its count stands still, and so does the reference."""
        self._dry += 1
        if self._dry > PATIENCE and self.base is not None:
            self.base -= BLOCK
            self.disturbed += 1

    def _observe(self, lead: int) -> None:
        self._least = min(self._least, lead) if self._blocks else lead
        self._most = max(self._most, lead) if self._blocks else lead
        self._blocks += 1
        if self._blocks < WINDOW:
            return
        spare = self._least - BLOCK - MARGIN
        if self._level is None:
            self._move(spare)
            self._level = self._most - spare
        elif spare > TOO_FAR:
            self.shift(spare)
        elif self._least < BLOCK and self._most < self._level - BLOCK:
            self.shift(self._most - self._level)
        self._begin_window()

    def _move(self, samples: int) -> None:
        assert self.base is not None
        self.base += samples

    def _begin_window(self) -> None:
        self._blocks = 0


class Matcher:
    """Finds what the microphone hears, and what the canceller left of it, in what was played. Needs numpy."""

    def __init__(self) -> None:
        import numpy as np

        self._np: Any = np
        self.alike = 1.0
        """Normalised correlation of the last look; before the first one anything may be the speaker."""
        self._heard = bytearray()
        self._left: deque[bytes] = deque(maxlen=_RECENT)
        self._count = 0
        self._found: int | None = None
        """What the last look found."""

    def add(self, block: bytes, left: bytes) -> None:
        """A block of the microphone as it came, and what the canceller left of it."""
        self._heard += block
        self._left.append(left)
        self._count += len(block) // 2
        del self._heard[: max(0, len(self._heard) - 2 * PIECE)]

    def energy(self, block: bytes) -> float:
        samples = self._samples(block)
        return float(samples @ samples)

    def look(self, reference: Reference) -> int | None:
        """Count of the speaker's sample that came back with the microphone's first; None when that is not clear."""
        np = self._np
        if len(self._heard) < 2 * PIECE:
            return None
        piece = self._samples(bytes(self._heard))
        begin = max(0, reference.end - REACH - PIECE)
        played = self._samples(reference.played(begin, reference.end))
        if len(played) < 2 * PIECE:
            return None
        small, where = self._coarse(piece), self._coarse(played)
        rough = self._best(small, where)
        if rough is None:
            return None
        first = max(0, (rough - 1) * _COARSE)
        last = min(first + 3 * _COARSE, len(played) - PIECE)
        near = [float(played[at : at + PIECE] @ piece) for at in range(first, last)]
        if not near:
            return None
        self._found = begin + first + int(np.argmax(near)) - (self._count - PIECE)
        return self._found

    def speakers_share(self, reference: Reference) -> float:
        """How much of what was left of late, by energy, is what was played, where the last look found it (0 to 1)."""
        if self._found is None:
            return 0.0
        left = self._coarse(self._samples(b"".join(self._left)))
        end = self._found + self._count
        played = self._coarse(self._samples(reference.played(end - _RECENT * BLOCK - DELAY, end + APART)))
        if len(played) < len(left):
            return 0.0
        dots = self._np.correlate(played, left, "valid")
        norms = self._energies(played, len(left)) * float(left @ left)
        return float((dots**2 / (norms + 1.0)).max())

    def _samples(self, pcm: bytes) -> Any:
        return self._np.frombuffer(pcm, self._np.int16).astype(self._np.float32)

    def _coarse(self, pcm: Any) -> Any:
        usable = len(pcm) // _COARSE * _COARSE
        return pcm[:usable].reshape(-1, _COARSE).mean(axis=1)

    def _energies(self, samples: Any, size: int) -> Any:
        """Of each `size` samples in a row."""
        sums = self._np.concatenate(([0.0], self._np.cumsum(samples.astype(self._np.float64) ** 2)))
        return sums[size:] - sums[:-size]

    def _best(self, piece: Any, where: Any) -> int | None:
        np = self._np
        size = 1 << (len(where) + len(piece)).bit_length()
        product = np.fft.rfft(where, size) * np.conj(np.fft.rfft(piece, size))
        dots = np.fft.irfft(product, size)[: len(where) - len(piece) + 1]
        norms = np.sqrt(self._energies(where, len(piece)) * float((piece**2).sum()))
        scores = dots / (norms + 100.0 * len(piece))
        best = int(scores.argmax())
        self.alike = float(scores[best])
        return best if self.alike >= ALIKE else None


class Aligner:
    """Sees the canceller lose the echo, finds where it has gone, and moves the reference by just that.

    So what the canceller has learned of the room holds again. As long as it has not shown that it does (at the start,
    and after anything that may have moved speaker and microphone apart) the microphone is silent while what it hears
    may be the speaker: half duplex for moments. Once it has, a user who speaks over the speaker makes it look as bad
    as an echo that moved, but the echo is then where it was, or not to be found at all, and what is left is nothing
    like what was played: the user is let through.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._matcher = Matcher()
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        self._learned: int | None = None
        """Samples from a sample's place in the reference to its echo, when the canceller did well."""
        self._suspect: int | None = None
        """How far apart the last look found them."""
        self._wait = 0
        """Blocks until the next look."""
        self._shut = 0
        """Blocks of silence still to come."""
        self._moved = 0
        """Blocks until the moved reference has gone through."""
        self._unproven = PROOF
        """Blocks for which a canceller that does badly is not believed."""
        self._well = 0
        """Blocks in a row in which it did well."""
        self._disturbed = reference.disturbed
        self._lead = 0

    def leaks(self, block: bytes, left: bytes) -> bool:
        """Take a block of the microphone and what the canceller left of it; whether that is the speaker's."""
        self._matcher.add(block, left)
        self._recent.append((self._matcher.energy(block), self._matcher.energy(left)))
        self._wait, self._shut, self._moved = (max(0, count - 1) for count in (self._wait, self._shut, self._moved))
        self._notice_jumps()
        reduction = self._reduction()
        if reduction is not None and self._reference.sounded_within(self._tail):
            self._judge(reduction)
        return self._shut > 0

    @property
    def _tail(self) -> int:
        """Samples after its last sound in which the speaker may still be heard: then it is the user."""
        if self._unproven or self._learned is None:
            return REACH
        return min(REACH, self._reference.lead + self._learned + PIECE)

    def _notice_jumps(self) -> None:
        """What may have moved the two apart makes the canceller prove itself again."""
        if self._reference.disturbed != self._disturbed:
            self._disturbed = self._reference.disturbed
            self._unproven, self._well = PROOF, 0
        elif abs(self._reference.lead - self._lead) > JUMP:
            self._unproven, self._well = max(self._unproven, SHORT_PROOF), 0
        else:
            return
        self._lead = self._reference.lead

    def _leaves_the_speaker(self) -> bool:
        """Whether what is left can be heard, and is the speaker's: however well it did, and whatever it has proven."""
        audible = sum(after for _, after in self._recent) >= len(self._recent) * BLOCK * AUDIBLE**2
        return audible and self._matcher.speakers_share(self._reference) > SPEAKERS

    def _reduction(self) -> float | None:
        """What was taken out of late, in dB; None when there was nothing to speak of."""
        before, after = (sum(energies) for energies in zip(*self._recent, strict=True))
        if before < len(self._recent) * BLOCK * AUDIBLE**2:
            return None
        return 10 * math.log10(before / max(after, 1.0))

    def _judge(self, reduction: float) -> None:
        good = reduction > GOOD
        self._well = self._well + 1 if good else 0
        if self._well >= PROVEN:
            self._unproven = 0
        if good and not self._moved:
            self._shut = 0
        if not good and self._unproven:
            self._unproven -= 1
            if self._matcher.alike >= UNLIKE:
                self._shut = max(self._shut, 2)
        if self._leaves_the_speaker():
            self._shut = max(self._shut, 2)
        if not good and self._suspect is None:
            self._wait = min(self._wait, LOOK_WHEN_POOR - 1)
        if self._wait or self._moved or POOR <= reduction <= GOOD:
            return
        self._wait = LOOK_WHEN_GOOD if good else LOOK_WHEN_POOR
        found = self._matcher.look(self._reference)
        # A voice can be a little like another one: to move what has worked takes more than that.
        clear = bool(self._unproven) or good or self._matcher.alike >= SURE
        if found is not None and clear and self._reference.base is not None:
            if reduction < HOPELESS and self._matcher.alike >= SURE:
                self._unproven = PROOF
            self._compare(self._reference.base - found, good=good)

    def _compare(self, way: int, *, good: bool) -> None:
        """`way`: samples from a sample's place in the reference to its echo, now."""
        within = NEAREST <= way <= FARTHEST
        if good and within:
            self._suspect = None
            self._learned = way if self._well >= PROVEN else self._learned
            return
        aim = self._learned if self._learned is not None else way if within else AIM
        apart = aim - way
        if within and not self._reference.has_room(apart):
            self._learned, apart = None, 0  # it is learned anew where it is
        if abs(apart) <= APART:
            self._suspect = None
        elif self._suspect is not None and abs(apart - self._suspect) <= SAME:
            self._reference.shift(apart)
            self._shut = self._moved = max(0, aim) // BLOCK + DOUBT
            self._suspect = None
        else:
            self._suspect, self._shut, self._wait = apart, max(self._shut, DOUBT), DOUBT // 2
