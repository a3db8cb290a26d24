"""Remote text made safe for a terminal.

What a model, a server or a recording says is shown, never obeyed: control characters (ECMA-48), bidirectional
overrides (Unicode UAX 9), invisible tag characters and lone surrogates are written as their escapes.
"""

from __future__ import annotations

import re


_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029"  # line and paragraph separator
    "\ufff9-\ufffb"  # interlinear annotation
    "\ud800-\udfff"  # half of a pair: no encoding carries it
    "\U000e0000-\U000e007f"  # tags: text nobody sees
    "]"
)


def safe(text: str) -> str:
    """One line: every dangerous character as its escape, a line break as a space."""
    return _DANGEROUS.sub(_escaped, re.sub(r"\s*[\r\n]+\s*", " ", text))


def safe_lines(text: str) -> list[str]:
    """Several lines, each safe; tabs as spaces."""
    return [_DANGEROUS.sub(_escaped, line.expandtabs(4)) for line in re.split(r"\r\n|\r|\n", text)]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
