"""The words of an item that is not committed yet, for transcription models that send them while they are spoken."""

from __future__ import annotations


class Draft:
    """What was heard since the last commit, part by part: a part ends where the speaker pauses."""

    def __init__(self, item_id: str, start_ms: int) -> None:
        self.item_id = item_id
        """Of the item that the commit will make."""
        self.start_ms = start_ms
        self.heard_to_ms = start_ms
        """What lies behind this point of the input's clock is in no part yet."""
        self.speaking = False
        self.committed = False
        self._parts: dict[str, str | None] = {}
        self._told = 0

    def add(self, part_id: str, end_ms: int) -> tuple[int, int]:
        """Another part, up to `end_ms`: where it lies."""
        start_ms, self.heard_to_ms = self.heard_to_ms, end_ms
        self.speaking = False
        self._parts[part_id] = None
        return start_ms, end_ms

    @property
    def is_empty(self) -> bool:
        return not self._parts

    @property
    def waiting(self) -> list[str]:
        """Parts that are still being recognised."""
        return [part for part, words in self._parts.items() if words is None]

    def recognised(self, part_id: str, words: str) -> bool:
        """Whether the part is one of this draft."""
        if part_id not in self._parts:
            return False
        self._parts[part_id] = words
        return True

    def news(self) -> str:
        """The words that can be told now: in order, and once."""
        known = list(self._parts.values())
        until = known.index(None) if None in known else len(known)
        fresh, self._told = [words for words in known[self._told : until] if words], until
        before = any(known[: self._told - len(fresh)]) if fresh else False
        text = " ".join(fresh)
        return f" {text}" if text and before else text

    @property
    def text(self) -> str:
        return " ".join(words for words in self._parts.values() if words)
