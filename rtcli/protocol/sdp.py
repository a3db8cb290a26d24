"""Session descriptions made acceptable: one Opus section, one data channel, one transport (RFC 8866, 8829, 8843).

What a service answers, or a browser offers, is foreign text and often sloppy. It is read into a few checked values and
written anew, so that the WebRTC stack parses nothing but what was rendered here. That mends, among others:

- bare line feeds, a byte order mark, blank lines in front;
- ICE credentials, fingerprint, role or candidates that stand in one section of a bundle only (the sample answer of
  OpenAI's API specification), at session level, or in the wrong section;
- a missing `a=mid`, `a=rtcp-mux`, direction, SCTP port or message size (RFC 8841: 64 KiB);
- candidates that can not be used: TCP, mDNS names, RTCP's component, host names;
- another payload type for Opus than the one offered, other codecs, sections nobody asked for.

Over 400 lines, because what is read and what is written from it are only safe when they are seen together.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import field

from rtcli.protocol.refusal import one_line
from rtcli.records import dataclass


DEFAULT_MAX_MESSAGE_SIZE = 65_536
"""Bytes; for a peer that does not say (RFC 8841 section 6)."""
MAX_BODY = 262_144
"""Characters; a description that is longer is not read."""
MAX_CANDIDATES = 32
MAX_WORDS = 200
"""Characters quoted from an answer that is no description."""
MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"

_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_MEDIA_LINE = re.compile(r"([a-z]{1,16}) ([0-9]{1,5})(?:/[0-9]{1,5})? ([A-Za-z/]{1,32}) ([!-~]{1,64}(?: [!-~]{1,64})*)")
_TOKEN = re.compile(r"[!-~]{1,256}")
_RTPMAP = re.compile(r"([0-9]{1,3}) opus/48000(?:/2)?", re.IGNORECASE)
_FINGERPRINT = re.compile(r"([a-z0-9-]{5,8}) ((?:[0-9a-f]{2}:)+[0-9a-f]{2})", re.IGNORECASE)
_EXTMAP = re.compile(rf"([0-9]{{1,2}})(?:/[a-z]{{8}})? {re.escape(MID_EXTENSION)}")
_DYNAMIC_PAYLOADS = range(96, 128)
_SCANNED = 8192
"""Characters looked at of what is no description."""
_SAID = re.compile(
    r'"(?:message|detail|error)"\s*:\s*"((?:[^"\\]|\\.){1,400})|<title[^>]*>([^<]{1,400})', re.IGNORECASE
)
_TAG = re.compile(r"<[^>]*>")


class BadDescription(ValueError):
    """A description that can not be used. The message is one line and quotes the other side's words."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A section of an offer that our answer has to list, and refuse, at its place (RFC 3264 section 6)."""

    index: int
    kind: str
    protocol: str
    formats: str
    mid: str | None


@dataclass(frozen=True, slots=True)
class Description:
    """What the other side said, checked."""

    text: str
    """Canonical SDP."""
    audio: bool
    """There is an audio section, and it was not refused."""
    channel: bool
    max_message_size: int | None
    """Bytes the other side takes in one message; None when it takes any."""
    addresses: tuple[str, ...]
    """`host:port` of the UDP candidates."""
    tcp_only: bool
    """There were candidates, and all of them were TCP."""
    refused: tuple[Refused, ...] = ()

    @property
    def on_loopback(self) -> bool:
        """The other side names an address on (IPv4) loopback."""
        return any(where.startswith("127.") for where in self.addresses)


def read_answer(body: str, offer: str, *, loopback: bool = False) -> Description:
    """The answer to `offer`, the text we sent. Raises BadDescription.

    `loopback`: when the answer has candidates on loopback, only they are kept.
    """
    session, theirs = _parse(body, "answer")
    _, ours = _parse(offer, "offer")
    pairs = _matched(ours, theirs)
    accepted = [their for _, their in pairs if their is not None and their.port]
    if not any(section.kind == "application" for section in accepted):
        raise BadDescription("the answer refuses the data channel")
    transport = _transport(session, accepted, "answer")
    if loopback:
        transport.keep_loopback()
    sections = [_answered(session, our, their) for our, their in pairs]
    return _description(transport, sections)


def read_offer(body: str) -> Description:
    """An offer that came to us. Raises BadDescription when it can not be answered."""
    session, theirs = _parse(body, "offer")
    for index, section in enumerate(theirs):
        section.mid = section.mid or str(index)
    audio = next((section for section in theirs if section.live and section.kind == "audio" and section.payloads), None)
    channel = next((section for section in theirs if section.live and section.is_channel), None)
    accepted = [section for section in theirs if section in (audio, channel)]
    if not accepted:
        raise BadDescription("the offer has neither Opus audio nor a data channel")
    if audio is None and any(section.live and section.kind == "audio" for section in theirs):
        raise BadDescription("the offer has audio but no Opus")
    if len({section.mid for section in accepted}) < len(accepted):
        raise BadDescription("the offer gives two sections the same mid")
    _check_bundled(session, accepted)
    transport = _transport(session, accepted, "offer")
    sections = [_Section.offered(session, section) for section in accepted]
    refused = tuple(_refused(i, section) for i, section in enumerate(theirs) if section not in accepted)
    return _description(transport, sections, refused)


# Reading


@dataclass(slots=True, eq=False)
class _Media:
    """One section as it came; the session's own lines are a section of kind `session`."""

    kind: str
    port: int = 9
    protocol: str = ""
    formats: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)
    mid: str | None = None

    def values(self, name: str) -> list[str]:
        return self.attributes.get(name, [])

    def token(self, name: str) -> str | None:
        return next((value for value in self.values(name) if _TOKEN.fullmatch(value)), None)

    def number(self, name: str, top: int) -> int | None:
        return next((int(value) for value in self.values(name) if _is_number(value) and int(value) <= top), None)

    @property
    def live(self) -> bool:
        """A port of 0 means "no", but for `a=bundle-only` (RFC 8843 section 6)."""
        return self.port != 0 or "bundle-only" in self.attributes

    @property
    def is_channel(self) -> bool:
        return self.kind == "application" and "SCTP" in self.protocol

    @property
    def payloads(self) -> list[int]:
        """The payload types of Opus, in the section's order of preference."""
        named = {int(match[1]) for value in self.values("rtpmap") if (match := _RTPMAP.fullmatch(value))}
        listed = [int(text) for text in self.formats.split() if _is_number(text)]
        return [payload for payload in listed if payload in named and payload in _DYNAMIC_PAYLOADS]

    @property
    def direction(self) -> str | None:
        return next((name for name in _DIRECTIONS if name in self.attributes), None)

    @property
    def fingerprints(self) -> list[str]:
        found = (_FINGERPRINT.fullmatch(value) for value in self.values("fingerprint"))
        return [
            f"{match[1].lower()} {match[2].upper()}"
            for match in found
            if match and len(match[2]) == 3 * _DIGEST_BYTES.get(match[1].lower(), 0) - 1
        ]


def _parse(body: str, what: str) -> tuple[_Media, list[_Media]]:
    text = body[:MAX_BODY].lstrip("\ufeff \t\r\n")
    if not text.startswith("v="):
        raise BadDescription(_words(body, what))
    if len(body) > MAX_BODY:
        raise BadDescription(f"the {what} has {len(body)} characters, at most {MAX_BODY} are read")
    session = _Media("session")
    sections: list[_Media] = []
    for line in re.split(r"[\r\n]+", text):
        name, _, value = line.strip().partition("=")
        if name == "m":
            sections.append(_media_line(value, what))
        elif name == "a":
            _add_attribute(sections[-1] if sections else session, value)
    if not sections:
        raise BadDescription(f"the {what} has no media section")
    for section in sections:
        section.mid = section.token("mid")
    return session, sections


def _media_line(value: str, what: str) -> _Media:
    match = _MEDIA_LINE.fullmatch(value)
    if not match:
        raise BadDescription(f"the {what} has a media line that can not be read: {one_line(value, MAX_WORDS)}")
    return _Media(match[1], int(match[2]), match[3].upper(), match[4])


def _add_attribute(section: _Media, line: str) -> None:
    name, _, value = line.partition(":")
    section.attributes.setdefault(name.strip().lower(), []).append(value.strip())


def _is_number(text: str) -> bool:
    return 0 < len(text) <= 19 and text.isascii() and text.isdigit()


def _matched(ours: list[_Media], theirs: list[_Media]) -> list[tuple[_Media, _Media | None]]:
    """Their section for each of ours: the one at its place, or the next of its kind; None when it was left out."""
    left = list(theirs)
    pairs: list[tuple[_Media, _Media | None]] = []
    for index, our in enumerate(ours):
        at_its_place = theirs[index] if index < len(theirs) and theirs[index].kind == our.kind else None
        their = at_its_place or next((section for section in left if section.kind == our.kind), None)
        if their in left:
            left.remove(their)
        pairs.append((our, their))
    return pairs


def _check_bundled(session: _Media, accepted: list[_Media]) -> None:
    """Two sections that are not bundled want two transports; we have one."""
    groups = [value.split()[1:] for value in session.values("group") if value.split()[:1] == ["BUNDLE"]]
    mids = {section.mid for section in accepted}
    fragments = {section.token("ice-ufrag") for section in accepted} - {None}
    if not any(mids <= set(group) for group in groups) and len(fragments) > 1:
        raise BadDescription("the offer does not bundle its sections")


def _refused(index: int, section: _Media) -> Refused:
    return Refused(index, section.kind, section.protocol, section.formats, section.mid)


# The one transport


@dataclass(slots=True)
class _Transport:
    fragment: str
    password: str
    fingerprints: list[str]
    setup: str
    lite: bool
    candidates: list[tuple[str, str]]
    """`host:port` and the line."""
    tcp_only: bool

    def keep_loopback(self) -> None:
        local = [(where, line) for where, line in self.candidates if where.startswith("127.")]
        self.candidates = local or self.candidates

    def lines(self) -> Iterator[str]:
        yield f"a=ice-ufrag:{self.fragment}"
        yield f"a=ice-pwd:{self.password}"
        yield from (f"a=fingerprint:{fingerprint}" for fingerprint in self.fingerprints)
        yield f"a=setup:{self.setup}"
        # No end-of-candidates: the stack would give up early, and the other side may still show itself by a check
        # from an address that it did not name.
        yield from (f"a=candidate:{line}" for _, line in self.candidates)


def _transport(session: _Media, accepted: list[_Media], what: str) -> _Transport:
    """A bundle has one transport; it is described in its first section, elsewhere by mistake only (RFC 8843)."""
    first, *others = _tagged_first(session, accepted)
    scopes = [first, session, *others]
    credentials = ((scope.token("ice-ufrag"), scope.token("ice-pwd")) for scope in scopes)
    fragment, password = next(((u, p) for u, p in credentials if u and p), (None, None))
    if fragment is None or password is None:
        raise BadDescription(f"the {what} has no ICE credentials")
    fingerprints = next((scope.fingerprints for scope in scopes if scope.fingerprints), None)
    if fingerprints is None:
        raise BadDescription(f"the {what} has no DTLS fingerprint of SHA-256, SHA-384 or SHA-512")
    lines = first.values("candidate") or [line for scope in scopes for line in scope.values("candidate")]
    candidates, tcp_only = _candidates(lines)
    return _Transport(
        fragment,
        password,
        fingerprints,
        _setup(scopes, what),
        any("ice-lite" in scope.attributes for scope in scopes),
        candidates,
        tcp_only,
    )


def _tagged_first(session: _Media, accepted: list[_Media]) -> list[_Media]:
    order = [mid for value in session.values("group") for mid in value.split()[1:]]
    return sorted(accepted, key=lambda section: order.index(section.mid) if section.mid in order else len(order))


def _setup(scopes: list[_Media], what: str) -> str:
    """The DTLS role; left out, an offer means `actpass` and an answer `passive` (RFC 8842, RFC 4145 section 4)."""
    allowed = ("active", "passive", "actpass") if what == "offer" else ("active", "passive")
    given = (value for scope in scopes for value in scope.values("setup") if value in allowed)
    return next(given, "actpass" if what == "offer" else "passive")


def _candidates(lines: Iterable[str]) -> tuple[list[tuple[str, str]], bool]:
    """The usable ones, each once, and whether there were some but all of them TCP."""
    usable: dict[str, str] = {}
    transports: set[str] = set()
    for line in lines:
        words = line.split()
        transports.update(words[2:3])
        candidate = _candidate(words)
        if candidate and len(usable) < MAX_CANDIDATES:
            usable.setdefault(*candidate)
    return list(usable.items()), {name.lower() for name in transports} == {"tcp"}


def _candidate(words: list[str]) -> tuple[str, str] | None:
    """`host:port` and the line of one UDP candidate, extensions such as `ufrag` dropped (RFC 8839 section 5.1)."""
    if len(words) < 8 or words[6] != "typ" or words[7] not in {"host", "srflx", "prflx", "relay"}:
        return None
    foundation, component, transport, priority, host, port = words[:6]
    if component != "1" or transport.lower() != "udp" or not re.fullmatch(r"[A-Za-z0-9+/]{1,32}", foundation):
        return None
    if not (_is_number(priority) and _is_number(port) and int(priority) < 1 << 32 and 0 < int(port) < 1 << 16):
        return None
    try:
        # Names are left out with the rest: asking for `….local` costs a second and answers nothing that the browser's
        # own checks do not show at once.
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if "%" in host or address.is_unspecified or address.is_multicast:
        return None
    where = f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"
    # A peer-reflexive candidate is never signalled; the stack would refuse the word.
    kind = "host" if words[7] == "prflx" else words[7]
    return where, f"{foundation} 1 udp {int(priority)} {address} {int(port)} typ {kind}"


# Writing


@dataclass(slots=True)
class _Section:
    """One section as it is written."""

    kind: str
    mid: str
    direction: str = "inactive"
    refused: bool = False
    payloads: list[int] = field(default_factory=list)
    extension: str | None = None
    legacy: bool = False
    """`DTLS/SCTP`, the form before RFC 8841."""
    sctp_port: int = 5000
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE

    @classmethod
    def offered(cls, session: _Media, section: _Media) -> _Section:
        """`section`, with what it leaves out filled in."""
        mid = section.mid or ""
        if section.kind == "audio":
            direction = section.direction or session.direction or "sendrecv"
            extension = next(
                (match[1] for value in section.values("extmap") if (match := _EXTMAP.fullmatch(value))), None
            )
            return cls("audio", mid, direction, payloads=section.payloads, extension=extension)
        legacy = not section.protocol.startswith("UDP/")
        first = section.formats.split()[0]
        port = (int(first) if legacy and _is_number(first) else section.number("sctp-port", 65_535)) or 5000
        size = section.number("max-message-size", 1 << 62)
        return cls(
            "application",
            mid,
            legacy=legacy,
            sctp_port=port if port < 1 << 16 else 5000,
            max_message_size=DEFAULT_MAX_MESSAGE_SIZE if size is None else size,
        )

    def lines(self) -> Iterator[str]:
        if self.kind == "audio":
            yield f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, self.payloads))}"
            yield f"a={self.direction}"
            yield "a=rtcp-mux"
            yield from (f"a=rtpmap:{payload} opus/48000/2" for payload in self.payloads)
            if self.extension:
                yield f"a=extmap:{self.extension} {MID_EXTENSION}"
        elif self.legacy:
            yield f"m=application 9 DTLS/SCTP {self.sctp_port}"
            yield f"a=sctpmap:{self.sctp_port} webrtc-datachannel 65535"
        else:
            yield "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
            yield f"a=sctp-port:{self.sctp_port}"
        if self.kind == "application":
            yield f"a=max-message-size:{self.max_message_size}"
        yield f"a=mid:{self.mid}"


def _answered(session: _Media, our: _Media, their: _Media | None) -> _Section:
    mid = our.mid or ""
    if their is None or not their.port:
        return _Section(our.kind, mid, refused=True, payloads=our.payloads)
    section = _Section.offered(session, their)
    section.mid = mid
    if section.kind == "audio":
        if not section.payloads:
            raise BadDescription("the answer accepts no Opus audio")
        # They may send with the number we offered whatever their own is (RFC 3264 section 6.1).
        section.payloads += [payload for payload in our.payloads if payload not in section.payloads]
    return section


def _description(transport: _Transport, sections: list[_Section], refused: tuple[Refused, ...] = ()) -> Description:
    # Audio leads the group: aiortc hangs the bundle on the transport of the section named first, and ours is the
    # one that our audio section was made with.
    leaders = sorted(sections, key=lambda section: section.kind != "audio")
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += ["a=ice-lite"] if transport.lite else []
    lines.append(f"a=group:BUNDLE {' '.join(section.mid for section in leaders)}")
    for section in sections:
        lines += [*section.lines(), *transport.lines()]
    channel = next((section for section in sections if section.kind == "application"), None)
    size = channel.max_message_size if channel else 0
    return Description(
        text="\r\n".join(lines) + "\r\n",
        audio=any(section.kind == "audio" and not section.refused for section in sections),
        channel=channel is not None,
        max_message_size=size or None,
        addresses=tuple(where for where, _ in transport.candidates),
        tcp_only=transport.tcp_only,
        refused=refused,
    )


# What is no description at all


def _words(body: str, what: str) -> str:
    """Why `body` is refused: in the words of the JSON or the page that it is, or its first line."""
    text = body[:_SCANNED].strip("\ufeff \t\r\n")
    if not text:
        return f"the {what} is empty"
    found = _SAID.search(text)
    said = (found[1] or found[2]) if found else _TAG.sub(" ", text).strip().partition("\n")[0]
    return f"the {what} is no SDP, it says: {one_line(said or text, MAX_WORDS)}"
