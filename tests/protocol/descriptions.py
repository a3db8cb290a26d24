"""Session descriptions to try: good ones, and what a careless or hostile hand makes of them."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import strategies as st


SAMPLE = (Path(__file__).parent / "fixtures" / "spec-sample-answer.sdp").read_text()
DIGEST = ":".join(["AB"] * 32)
OFFER = f"""v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 40000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.1
a=sendrecv
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {DIGEST}
a=setup:actpass
m=application 40000 UDP/DTLS/SCTP webrtc-datachannel
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {DIGEST}
a=setup:actpass
"""
ANSWER = OFFER.replace("actpass", "active")
SEEDS = [OFFER, ANSWER, SAMPLE]


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A real description with lines dropped, doubled, moved, and parts of them replaced."""
    lines = draw(st.sampled_from(SEEDS)).splitlines()
    for _ in range(draw(st.integers(1, 8))):
        index = draw(st.integers(0, len(lines) - 1)) if lines else 0
        match draw(st.sampled_from(["drop", "double", "move", "replace", "insert", "cut"])):
            case "drop" if lines:
                del lines[index]
            case "double" if lines:
                lines.insert(index, lines[draw(st.integers(0, len(lines) - 1))])
            case "move" if lines:
                lines.append(lines.pop(index))
            case "replace" if lines:
                words = re.split(r"(\W)", lines[index])
                words[draw(st.integers(0, len(words) - 1))] = draw(st.text(max_size=12) | st.from_regex(r"[0-9]{1,22}"))
                lines[index] = "".join(words)
            case "cut" if lines:
                lines[index] = lines[index][: draw(st.integers(0, len(lines[index])))]
            case _:
                lines.insert(index, draw(st.sampled_from(["a=", "m=", "", "c="])) + draw(st.text(max_size=30)))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)
