"""How much delay the arriving packets ask for.

Time here is the speaker's own: the number of samples it has taken. A packet with media time m (its timestamp) that is
there when the speaker has taken S samples is *in time* under the delay D exactly when S <= m + D. So its *need* is
S - m, the smallest delay under which it would have been in time, and the distribution of needs is all one has to know:
network jitter, sender jitter, the speaker's own blocks and bursts and the drift between both clocks are all in it,
with no clock read and no margin guessed.

A lost packet has a need too when the next one carries it as in-band FEC: the moment that one came. So the wait for FEC
is chosen by the same sum as every other wait, but counts twice: a packet that is late is heard late, one whose FEC is
not waited for is never heard.
"""

from __future__ import annotations

from collections import deque
from itertools import islice


WINDOW = 500
"""Packets remembered: 10 s of 20 ms."""
PRICE = 25_000
"""What concealing everything would cost, in samples of delay: 1 % concealed is worth 5 ms.

So 2 % of loss is worth the 20 ms after which FEC comes, and a packet in a hundred that is 200 ms late is worth nothing.
"""
FEWEST = 75
"""Packets that a price is reckoned on at the least: one late packet among the first ten is no sign of ten percent."""

_BIN = 120
_BINS = 400
"""A second; what is later is as late as that."""
_SHIFT_RUN = 15
_SHIFT_LEAST = 480
_PRIOR = (0, 240, 480, 720, 960)
"""Needs supposed before there is experience: 20 ms of jitter."""
_PRIOR_UNTIL = 50
_RECOUNT = 8


class Arrivals:
    """Needs of the last packets, and the delay that pays best. All values in samples."""

    def __init__(self) -> None:
        self.target = 0
        """The delay to play at: speaker's samples taken minus media time."""
        self.least = 0
        """The need of the fastest packet."""
        self.slope = 0.0
        """By how much the needs grow with each sample of media time because the two clocks drift apart."""
        self._needs: dict[int, int] = {}
        self._only_fec: set[int] = set()
        """Packets that did not come themselves."""
        self._shape: list[int] = list(_PRIOR)
        self._last: deque[int] = deque(maxlen=_SHIFT_RUN)
        self._since_count = 0
        self._first = True

    def arrived(self, media: int, need: int, *, earlier: int = 0) -> None:
        """A packet with media time `media` came with this need.

        `earlier`: the duration of the packet before it when this one carries that as FEC, else 0.
        """
        self._only_fec.discard(media)
        known = self._needs.get(media)
        if known is None or need < known:
            self._needs[media] = need
        if earlier and media - earlier not in self._needs:
            self._needs[media - earlier] = need + earlier
            self._only_fec.add(media - earlier)
        while len(self._needs) > WINDOW:
            self._forget(next(iter(self._needs)))
        self._last.append(need)
        self._since_count += 1
        if self._shifted():
            self.restart(keep=_SHIFT_RUN)
        if self._since_count >= _RECOUNT or len(self._needs) < 2 * _RECOUNT:
            self._recount()

    def restart(self, *, keep: int = 0) -> None:
        """The relation of the two clocks is a new one (pause, stall, other route, other stream): keep the shape only.

        `keep`: how many of the newest needs already belong to the new relation.
        """
        needs = list(self._needs.values())
        old = needs[: len(needs) - keep]
        if old:
            least = min(old)
            self._shape = [need - least for need in old]
            self._first = False
        for stale in list(islice(self._needs, len(old))):
            self._forget(stale)
        self._last.clear()
        self._recount()

    def _forget(self, media: int) -> None:
        del self._needs[media]
        self._only_fec.discard(media)

    def _shifted(self) -> bool:
        """Whether the last packets all lie on one side of the median of those before: by chance once in 2^15."""
        if len(self._last) < _SHIFT_RUN or len(self._needs) < 3 * _SHIFT_RUN or self._since_count % 4:
            return False
        before = sorted(islice(self._needs.values(), len(self._needs) - _SHIFT_RUN))
        middle = before[len(before) // 2]
        return min(self._last) > middle + _SHIFT_LEAST or max(self._last) < middle - _SHIFT_LEAST

    def _present(self) -> dict[int, int]:
        """The needs as they would be now: at 1000 ppm those of ten seconds ago are 10 ms off."""
        if not self.slope:
            return self._needs
        newest = max(self._needs, default=0)
        return {media: need + round(self.slope * (newest - media)) for media, need in self._needs.items()}

    def _values(self) -> list[int]:
        present = self._present()
        needs = list(present.values()) + [present[media] for media in self._only_fec]
        if not needs or (self._first and len(needs) >= _PRIOR_UNTIL):
            return needs
        least = min(needs)
        room = WINDOW - len(needs)
        return needs + [least + need for need in self._shape[-room:]] if room > 0 else needs

    def _recount(self) -> None:
        """The delay with the least sum of itself and the price of what it would conceal."""
        self._since_count = 0
        needs = self._values()
        if not needs:
            return
        self.least = least = min(needs)
        last = min((max(needs) - least) // _BIN, _BINS)
        counts = [0] * (last + 1)
        for need in needs:
            place = (need - least) // _BIN
            counts[min(last, place)] += 1
        choice = _cheapest(counts, PRICE / max(len(needs), FEWEST))
        limit = least + (choice + 1) * _BIN
        self.target = max(need for need in needs if need < limit)


def _cheapest(counts: list[int], price: float) -> int:
    """Index of the bin up to which waiting pays. `price`: of one packet concealed whole.

    A need beyond the delay by x leaves a hole of x, at most of one 20 ms packet (8 bins).
    """
    best, best_cost = len(counts) - 1, float("inf")
    beyond = 0  # packets more than 8 bins above
    for index in range(len(counts) - 1, -1, -1):
        near = counts[index + 1 : index + 9]
        if index + 9 < len(counts):
            beyond += counts[index + 9]
        holes = beyond + sum(n * (k + 1) / 8 for k, n in enumerate(near) if n)
        cost = index * _BIN + price * holes
        if cost < best_cost:
            best, best_cost = index, cost
    return best
