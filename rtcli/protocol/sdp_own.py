"""Our own session descriptions, as they go out.

What the WebRTC stack offers is pared down to what browsers offer and what is used: every server was tried with that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rtcli.protocol.sdp import MID_EXTENSION, Description, Refused


OPUS_PAYLOAD = 111
"""What browsers offer for Opus; servers that hard-code a number hard-code this one."""

_OPUS_PARAMETERS = "minptime=10;useinbandfec=1"
_UNWANTED = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=fingerprint:sha-384", "a=fingerprint:sha-512")


def publish_offer(text: str) -> str:
    """The stack's offer: Opus alone, at a browser's payload type, in-band FEC welcome."""
    return _published(text, OPUS_PAYLOAD)


def publish_answer(text: str, offer: Description) -> str:
    """The stack's answer, the sections of the offer that it did not see refused at their places."""
    head, *sections = re.split(r"(?m)^(?=m=)", _published(text, None))
    for refused in offer.refused:
        sections.insert(refused.index, _refusal(refused))
    return head + "".join(sections)


def _published(text: str, payload: int | None) -> str:
    """`payload`: Opus' new number; None leaves the one that was agreed on."""
    named = re.search(r"(?m)^a=rtpmap:([0-9]+) opus/", text)
    opus = named[1] if named else ""
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        section = line[2:].split()[0] if line.startswith("m=") else section
        lines += _audio_line(line, opus, str(payload or opus)) if section == "audio" else _other_line(line)
    return "\r\n".join(lines) + "\r\n"


def _audio_line(line: str, opus: str, payload: str) -> Iterator[str]:
    if line.startswith("m="):
        yield f"{' '.join(line.split()[:3])} {payload}"
    elif line.startswith(f"a=rtpmap:{opus} "):
        yield f"a=rtpmap:{payload} opus/48000/2"
        yield f"a=fmtp:{payload} {_OPUS_PARAMETERS}"
    else:
        yield from _other_line(line)


def _other_line(line: str) -> Iterator[str]:
    if not line.startswith(_UNWANTED) and (not line.startswith("a=extmap:") or line.endswith(MID_EXTENSION)):
        yield line


def _refusal(refused: Refused) -> str:
    lines = [f"m={refused.kind} 0 {refused.protocol} {refused.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
    lines += [f"a=mid:{refused.mid}"] if refused.mid else []
    return "\r\n".join(lines) + "\r\n"
