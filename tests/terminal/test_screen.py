"""`rtcli talk` on a terminal, driven as a user drives it: keys in, what is seen out, at three sizes.

The screens under `golden/` were looked at by a person. `RTCLI_WRITE_GOLDEN=1` writes them anew, to be looked at again.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
import wave
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.devices.card import LOUD, Card
from tests.devices.card import missing as missing_card
from tests.pictures import noise
from tests.program import start
from tests.terminal.tmux import PROMPT, Terminal, is_required, missing


SIZES = [(100, 30), (80, 24), (50, 20)]
GOLDEN = Path(__file__).parent / "golden"
STATUS = ("ready", "listening", "speaking", "thinking", "hearing you")
HOSTILE = (
    "repeat after me: \x1b[2J\x1b[31mred \u202eevil\u202c \x07 שלום עולם مرحبا بالعالم "
    "日本語 🙂 [bold]x[/bold] " + "long" * 60
)


@pytest.fixture(scope="module", autouse=True)
def _tmux() -> None:
    if lacking := missing():
        if is_required():
            pytest.fail(f"the screen's tests need {lacking}")
        pytest.skip(f"NOT RUN: the screen's tests need {lacking}")


@contextmanager
def served(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A sandbox process and its base URL."""
    process = start("sandbox", "--engine", "scripted", "--port", "0", home=home)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("sandbox")) as (_, base_url):
        yield base_url


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Microphones: `quiet.wav`, and `spoken.wav` with a second and a half of something loud in it, both a minute."""
    folder = tmp_path_factory.mktemp("sounds")
    hum = array("h", (9000 if n // 25 % 2 else -9000 for n in range(16_000 * 3 // 2)))
    for name, loud in (("quiet.wav", array("h")), ("spoken.wav", hum)):
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(32_000) + loud.tobytes() + bytes(60 * 32_000))
    return folder


@contextmanager
def talking(
    url: str, *arguments: str, size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None
) -> Iterator[Terminal]:
    """A terminal with a call that is up; without a microphone unless one is given."""
    with Terminal(*size, env={"OPENAI_BASE_URL": url, **(env or {})}) as terminal:
        begin(terminal, *arguments)
        yield terminal


def begin(terminal: Terminal, *arguments: str, program: str = "rtcli") -> None:
    sound = () if "--input" in arguments else ("--input", "none")
    terminal.line(" ".join((program, "talk", *sound, "--output", "none", *arguments)) + '; echo "status=$?"')
    terminal.wait_for(lambda screen: screen[-1].startswith(("ready", "listening")))


def ended(terminal: Terminal) -> int:
    """Wait for the shell to be back; gives the status."""
    screen = terminal.wait_for(
        lambda screen: "status=" in "".join(screen) and [row for row in screen if row][-1] == PROMPT.strip()
    )
    found = re.findall(r"status=(\d+)", "".join(screen))
    return int(found[-1])


def normalised(screen: list[str]) -> str:
    """Without what differs from run to run: times, ids, durations."""
    text = "\n".join(screen)
    for pattern, instead in (
        (r"\d\d:\d\d:\d\d\.\d\d\d", "HH:MM:SS.mmm"),
        (r"(resp|item|sess)_[0-9a-f]+…?", r"\1_…"),
        (r"(rtcli\.latency  ).*", r"\1…"),
        (r"(?:answer |rtt )?\b\d+ ms", "N ms"),
        (r" · buffer N ms", ""),
    ):
        text = re.sub(pattern, instead, text)
    return text.rstrip("\n") + "\n"


def agrees(name: str, screen: list[str]) -> None:
    path = GOLDEN / f"{name}.txt"
    seen = normalised(screen)
    if os.environ.get("RTCLI_WRITE_GOLDEN"):
        path.write_text(seen, encoding="utf-8")
    assert seen == path.read_text(encoding="utf-8"), f"{path.name}: look at it; RTCLI_WRITE_GOLDEN=1 writes it anew"


def is_status(row: str) -> bool:
    return row.startswith(STATUS)


def at_rest(screen: list[str]) -> bool:
    """Nothing runs, and the status line has its figures."""
    return screen[-1].startswith(("ready", "listening")) and screen[-1].count(" ms") == 2


def is_waiting(screen: list[str]) -> bool:
    """An empty prompt, and the status line with its figures."""
    return ">" in screen and at_rest(screen)


def shows_detail(detail: str, screen: list[str]) -> bool:
    return f"events: {detail}" in [row for row in screen if row][-3:]


def shows_speech(times: int, screen: list[str]) -> bool:
    return "\n".join(screen).count("  you  [speech") == times


def is_drawn(columns: int, rows: int, screen: list[str]) -> bool:
    """For this size: the end of the story, the prompt, the status line."""
    whole = len(screen) == rows and ">" in screen and len([row for row in screen if "pier." in row]) == 1
    return whole and is_status(screen[-1]) and len(screen[-1]) <= columns


def said(text: str) -> str:
    return f"model  {text}"


# ---- what is seen ----


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_conversation_looks_as_it_should(url: str, size: tuple[int, int]) -> None:
    name = f"{size[0]}x{size[1]}"
    with talking(url, size=size) as terminal:
        terminal.line("what is two plus three")
        terminal.wait_for(said("2 plus 3 is 5."))
        terminal.type("half a thought, not sent yet")
        agrees(f"talk-{name}", terminal.wait_for(at_rest))
        terminal.keys("C-u")
        terminal.line("/help")
        terminal.wait_for("/quit")
        agrees(f"help-{name}", terminal.wait_for(is_waiting))
        terminal.keys("C-c")
        assert ended(terminal) == 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_events_are_cut_to_the_width_and_hostile_text_is_shown_and_never_obeyed(
    url: str, size: tuple[int, int]
) -> None:
    with talking(url, "--text", "--events", "key", size=size) as terminal:
        terminal.line("what is two plus three")
        terminal.wait_for(said("2 plus 3 is 5."))
        terminal.wait_for("rtcli.latency")
        terminal.line('/event {"type":"nonsense"}')
        terminal.wait_for("← error")
        terminal.wait_for("error: ")
        screen = terminal.wait_for(is_waiting)
        assert max(map(len, screen)) <= size[0]
        agrees(f"events-{size[0]}x{size[1]}", screen)
        terminal.line("/events none")
        terminal.wait_for("events: none")
        terminal.keys("C-l")
        terminal.wait_for(lambda screen: screen[0] == ">" and is_waiting(screen))
        terminal.paste(HOSTILE)
        terminal.keys("Enter")
        terminal.wait_for("model  ")
        screen = terminal.wait_for(is_waiting)
        assert "\\x1b[2J\\x1b[31mred" in "\n".join(screen)
        assert "\\u202eevil" in "\n".join(screen)
        agrees(f"hostile-{size[0]}x{size[1]}", screen)


# ---- typing ----


def test_what_is_typed_is_never_torn_by_what_is_printed(url: str) -> None:
    typed = "typing while events stream past, letter by letter, is never torn"
    with talking(url, "--events", "all") as terminal:
        terminal.line("tell me a story")
        terminal.wait_for("response.created")
        for letter in typed:
            terminal.type(letter)
        screen = terminal.wait_for(f"> {typed}")
        assert [row for row in screen if "letter by letter" in row] == [f"> {typed}"]
        assert is_status(screen[-1])
        terminal.keys("C-u", "C-c")
        ended(terminal)
        assert not [row for row in terminal.scrollback() if "letter" in row or re.search("^[a-z]{1,6}$", row)]


def test_lines_that_come_faster_than_they_are_read_leave_nothing_behind(url: str) -> None:
    """Between two prompts the terminal must not echo what comes."""
    with talking(url, "--text") as terminal:
        for number in range(12):
            terminal.type(f"/nope{number}")
            terminal.keys("Enter")
        terminal.wait_for("no command /nope11")
        rows = terminal.wait_for(lambda screen: ">" in screen)
        assert not [row for row in rows if row.startswith(("/", "nope"))]
        rows = rows[2 : rows.index(">")]
        assert "" not in rows


def test_a_line_typed_while_the_model_speaks_waits_in_sight_and_stands_behind_the_answer(url: str) -> None:
    with talking(url) as terminal:
        terminal.line("say one two three four five six")
        terminal.wait_for("speaking")
        terminal.line("say pears")
        screen = terminal.wait_for("  you  say pears")
        assert screen.index("  you  say pears") > screen.index("  you  say one two three four five six")
        terminal.wait_for(lambda screen: any("pears" in row.lower() and "model" in row for row in screen))
        words = [row for row in terminal.wait_for(at_rest) if row.startswith(("  you", "model"))]
        assert ["one" in row.lower() or "pears" in row.lower() for row in words] == [True] * 4
        assert [row[:5] for row in words] == ["  you", "model", "  you", "model"]


def test_a_paste_of_several_lines_is_one_message_and_waits_for_enter(url: str) -> None:
    with talking(url, "--text") as terminal:
        terminal.paste("line one\nline two\nline three")
        screen = terminal.wait_for("line three")
        assert not [row for row in screen if row.startswith("  you")]
        terminal.keys("C-u")
        terminal.wait_for(lambda screen: ">" in screen)
        terminal.keys("C-y")
        terminal.wait_for("line three")
        terminal.keys("Enter")
        screen = terminal.wait_for("model  ")
        start_at = screen.index("  you  line one")
        assert screen[start_at : start_at + 3] == ["  you  line one", "       line two", "       line three"]


def test_a_paste_is_one_message_while_events_stream_past_too(url: str) -> None:
    with talking(url, "--events", "all") as terminal:
        terminal.line("tell me a story")
        terminal.wait_for("response.created")
        for _ in range(20):
            terminal.paste("one\ntwo \x1b[31m\n")
        screen = terminal.wait_for(lambda screen: "".join(screen).count("two") >= 10)
        assert not [row for row in screen if row.startswith("  you  one")]


def test_commands_complete_and_lines_come_back(url: str) -> None:
    with talking(url, "--text") as terminal:
        terminal.type("/h")
        terminal.keys("Tab")
        terminal.wait_for("> /help")
        terminal.keys("C-u")
        terminal.type("/nope")
        terminal.keys("Enter")
        terminal.wait_for("no command /nope")
        terminal.keys("Up")
        terminal.wait_for("> /nope")
        assert not list(terminal.home.rglob("history")), "typed lines are kept for this call only"


def test_lines_are_remembered_for_ever_only_when_the_configuration_says_so(url: str) -> None:
    with talking(url, "--text", env={"RTCLI_HISTORY": "true"}) as terminal:
        terminal.line("/stats")
        terminal.wait_for(lambda screen: "> /stats" in screen and ">" in screen)
        (history,) = terminal.home.rglob("history")
        assert "/stats" in history.read_text(encoding="utf-8")
        assert history.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("way", ["--sandbox", ""], ids=["the sandbox", "a service with a key"])
def test_a_line_typed_before_there_is_a_call_is_asked_when_there_is_one(url: str, way: str) -> None:
    service = {} if way else {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-not-a-real-one"}
    with Terminal(80, 24, env=service) as terminal:
        terminal.line(f"rtcli talk {way} --text --input none --output none")
        terminal.wait_for(lambda screen: screen[-1])
        terminal.line("what is two plus three")
        terminal.wait_for(said("2 plus 3 is 5."))
        terminal.keys("C-c")
        terminal.wait_for("1 said, 1 answered")


def test_in_a_transcription_session_a_typed_line_goes_nowhere_and_the_user_is_told_so(url: str, sounds: Path) -> None:
    with talking(url, "--transcription", "--input", f"{sounds}/spoken.wav") as terminal:
        terminal.wait_for("  you  [speech")
        terminal.line("hello")
        terminal.wait_for("answers nothing")
        terminal.line("/cost")
        terminal.wait_for("gpt-transcribe: 0.1 min · ≈ $0.000")
        assert not [row for row in terminal.screen() if "hello" in row and row.startswith("  you")]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_captioner_shows_words_while_more_of_them_are_spoken_and_then_one_line(
    url: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    """A stop for breath lies in the sentence; words of the first part are seen before the line is whole."""
    hum = array("h", (9000 if n // 25 % 2 else -9000 for n in range(16_000 * 3 // 2))).tobytes()
    with wave.open(str(tmp_path / "sentence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000) + hum + bytes(18_000) + hum + bytes(20 * 32_000))
    microphone = ("--input", f"{tmp_path}/sentence.wav")
    with talking(url, "--transcription", "--transcribe", "gpt-live-transcribe", *microphone, size=size) as terminal:
        terminal.keys("C-l")
        screen = terminal.wait_for(lambda screen: "\n".join(screen).count("[speech") == 1 and " ms" in screen[-1])
        agrees(f"captions-begun-{size[0]}x{size[1]}", captions(screen))
        screen = terminal.wait_for(lambda screen: "\n".join(screen).count("[speech") == 2 and "≈" in screen[-1])
        assert len([row for row in screen if row.startswith("  you")]) == 1
        terminal.keys("C-l")
        terminal.wait_for(lambda screen: screen[0] == ">" and is_status(screen[-1]))
        terminal.line("hello")
        terminal.line("/voice cedar")
        terminal.line("/ptt")
        terminal.wait_for("session: transcription")
        screen = terminal.wait_for(lambda screen: "Ctrl-T to talk" in screen[-1] and ">" in screen)
        agrees(f"captions-{size[0]}x{size[1]}", captions(screen))


def captions(screen: list[str]) -> list[str]:
    """Without what depends on the moment: how much was heard, the meter, the cost so far."""
    text = re.sub(r"\[speech [\d.]+ s", "[speech N s", "\n".join(screen))
    return re.sub(r"mic [▁-█]+|(?:[\d.]+ min )?≈ \$[\d.]+", "…", text).split("\n")


# ---- keys ----


def test_muting_is_seen_at_once_and_undone_by_the_same_key(url: str, sounds: Path) -> None:
    with talking(url, "--input", f"{sounds}/quiet.wav") as terminal:
        terminal.keys("C-t")
        terminal.wait_for("muted")
        terminal.keys("C-t")
        terminal.wait_for(lambda screen: "mic ▁" in screen[-1])
        terminal.line("/mute")
        terminal.wait_for("muted")


def test_speech_moves_the_meter_and_becomes_a_turn(url: str, sounds: Path) -> None:
    with talking(url, "--input", f"{sounds}/spoken.wav") as terminal:
        terminal.wait_for(lambda screen: "█" in screen[-1])
        terminal.wait_for("hearing you")
        terminal.wait_for("  you  [speech")
        terminal.wait_for("model  I heard you")


def test_push_to_talk_clears_commits_and_asks_in_this_order(url: str, sounds: Path) -> None:
    with talking(url, "--ptt", "--events", "all", "--input", f"{sounds}/spoken.wav", size=(100, 30)) as terminal:
        terminal.keys("C-t")
        terminal.wait_for(lambda screen: "█" in screen[-1])
        terminal.wait_for(lambda screen: "█" not in screen[-1])
        terminal.keys("C-t")
        terminal.wait_for("  you  [speech")
        terminal.wait_for(lambda _: any(" → response.create" in row for row in terminal.scrollback()))
        sent = [row for row in terminal.scrollback() if " → " in row]
        order = [sent.index(row) for name in ("clear", "commit") for row in sent if f"input_audio_buffer.{name}" in row]
        asked = next(at for at, row in enumerate(sent) if "response.create" in row)
        assert order == sorted(order)
        assert len(order) == 2
        assert asked > order[1]


def test_an_interruption_silences_the_answer_and_is_counted(url: str) -> None:
    with talking(url, "--events", "key") as terminal:
        terminal.line("tell me a story")
        terminal.wait_for("speaking")
        terminal.keys("C-x")
        terminal.wait_for("output_audio_buffer.clear")
        terminal.wait_for(lambda screen: any(re.match("model  .*—", row) and "pier." not in row for row in screen))
        terminal.wait_for(lambda screen: screen[-1].startswith("ready"))
        terminal.line("/quit")
        assert ended(terminal) == 0
        assert "1 interrupted" in "".join(terminal.screen())


def test_event_detail_changes_in_mid_call(url: str) -> None:
    with talking(url, "--text") as terminal:
        for detail in ("key", "all", "none", "key"):
            terminal.keys("C-e")
            terminal.wait_for(partial(shows_detail, detail))
        terminal.line("hello")
        terminal.wait_for("response.done")


# ---- the terminal ----


def test_another_size_leaves_nothing_behind(url: str) -> None:
    """The answer that grows above the prompt is as wide as the terminal, and a narrower one wraps it."""
    with talking(url) as terminal:
        terminal.line("tell me a story")
        terminal.wait_for(lambda screen: any(row.startswith("model  …") for row in screen))
        for columns, rows in ((50, 20), (100, 30), (30, 12), (80, 24)):
            terminal.resize(columns, rows)
            screen = terminal.wait_for(partial(is_drawn, columns, rows))
            assert len([row for row in screen if row.startswith("model  ")]) == 1
            assert len([row for row in screen if is_status(row)]) == 1
            assert screen.count(">") == 1
        terminal.keys("C-c")
        ended(terminal)
        assert len([row for row in terminal.scrollback() if re.match("model  .*—", row)]) == 1


@pytest.mark.parametrize("stop", ["C-z", "signal"])
def test_a_stopped_call_goes_on_where_it_was(url: str, stop: str) -> None:
    with talking(url, "--text") as terminal:
        terminal.type("half")
        terminal.wait_for("> half")
        if stop == "C-z":
            terminal.keys("C-z")
        else:
            _signal(terminal, signal.SIGSTOP)
        terminal.wait_for("Stopped")
        terminal.wait_for(PROMPT.strip())
        assert terminal.shell("stty -a | grep -o ' echo \\| icanon' | tr -d '\\n'") == "icanon echo"
        terminal.line("fg")
        terminal.wait_for("> half")
        terminal.type(" a word")
        terminal.wait_for("> half a word")
        terminal.keys("Enter")
        terminal.wait_for("model  ")
        assert "^[" not in "".join(terminal.scrollback()), "an escape sequence was echoed"


def _signal(terminal: Terminal, number: int) -> None:
    """To the program in the terminal's foreground, from outside."""
    os.kill(terminal.foreground(), number)


def keys(*names: str) -> Callable[[Terminal], None]:
    return lambda terminal: terminal.keys(*names)


ENDINGS: dict[str, tuple[Callable[[Terminal], None], int]] = {
    "Ctrl-C in the middle of a word": (keys("w", "o", "C-c"), 0),
    "Ctrl-D": (keys("C-d"), 0),
    "/quit": (lambda terminal: terminal.line("/quit"), 0),
    "SIGTERM": (lambda terminal: _signal(terminal, signal.SIGTERM), 143),
    "SIGHUP": (lambda terminal: _signal(terminal, signal.SIGHUP), 143),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_gives_the_terminal_back_and_a_summary_on_standard_error(url: str, ending: str) -> None:
    end, status = ENDINGS[ending]
    with Terminal(80, 24, env={"OPENAI_BASE_URL": url}) as terminal:
        before = terminal.settings()
        begin(terminal, "--text", "2>$HOME/err")
        terminal.line("hello")
        terminal.wait_for("model  ")
        assert terminal.settings() != before, "the prompt reads keys"
        end(terminal)
        assert ended(terminal) == status
        assert terminal.settings() == before
        assert terminal.shows_cursor()
        assert "1 said, 1 answered" in (terminal.home / "err").read_text(encoding="utf-8")
        assert "1 said" not in "".join(terminal.screen())
        assert terminal.shell("echo typed | cat") == "typed"


def test_a_call_that_is_lost_gives_the_terminal_back_and_says_so(tmp_path: Path) -> None:
    with served(tmp_path) as (sandbox, url), Terminal(80, 24, env={"OPENAI_BASE_URL": url}) as terminal:
        before = terminal.settings()
        begin(terminal, "--text")
        terminal.type("half a word")
        sandbox.kill()
        assert ended(terminal) == 4
        assert terminal.settings() == before
        assert "rtcli: " in "\n".join(terminal.screen())
        assert "Traceback" not in "\n".join(terminal.scrollback())


BROKEN = """
from rtcli.terminal.screen import Screen
def broken(*_): raise RuntimeError("a part of the screen broke")
Screen._lines = broken
from rtcli.cli import main
main()
"""


def test_a_screen_that_breaks_ends_the_call_and_gives_the_terminal_back(url: str) -> None:
    with Terminal(80, 24, env={"OPENAI_BASE_URL": url}) as terminal:
        terminal.write_program("broken", BROKEN)
        before = terminal.settings()
        terminal.line('broken talk --text --input none --output none; echo "status=$?"')
        assert ended(terminal) == 1
        assert terminal.settings() == before
        assert terminal.shows_cursor()


BROKEN_PROMPT = """
from rtcli.commands.live import LiveScreen
def broken(*_): raise RuntimeError("a typed line broke")
LiveScreen._mean = broken
from rtcli.cli import main
main()
"""


def test_a_prompt_that_breaks_ends_the_call_as_a_bug_in_one_line(url: str) -> None:
    with Terminal(80, 24, env={"OPENAI_BASE_URL": url}) as terminal:
        terminal.write_program("broken", BROKEN_PROMPT)
        before = terminal.settings()
        terminal.line('broken talk --text --input none --output none 2>$HOME/err; echo "status=$?"')
        terminal.wait_for("ready")
        terminal.line("hello")
        assert ended(terminal) == 1
        assert terminal.settings() == before
        told = (terminal.home / "err").read_text(encoding="utf-8").splitlines()
        assert len(told) == 1
        assert told[0].startswith("rtcli: a typed line broke; this is a bug")


# ---- colour ----


def test_colours_suit_a_light_and_a_dark_background(url: str) -> None:
    """The terminal's own colours alone: no background, neither black nor white, nothing of a fixed shade."""
    with talking(url, "--text", "--events", "all") as terminal:
        terminal.line("hello")
        terminal.wait_for("model  ")
        terminal.keys("C-x")
        set_to = {number for found in re.findall(r"\x1b\[([\d;]*)m", terminal.colours()) for number in found.split(";")}
        assert {"35", "36"} <= set_to
        assert set_to <= {"", "0", "1", "2", "22", "31", "32", "33", "35", "36", "39", "49"}


def test_without_colour_the_same_is_shown_without_colour(url: str) -> None:
    with talking(url, "--text", env={"NO_COLOR": "1"}) as terminal:
        terminal.line("hello")
        terminal.wait_for("model  ")
        assert not re.findall(r"\x1b\[[\d;]*3[0-8]m", terminal.colours())


def test_a_terminal_that_can_not_draw_gets_plain_lines(url: str) -> None:
    with Terminal(80, 24, env={"OPENAI_BASE_URL": url, "TERM": "dumb"}) as terminal:
        terminal.line('rtcli talk --text --input none --output none; echo "status=$?"')
        terminal.wait_for("microphone: none")
        terminal.line("what is two plus three")
        terminal.wait_for(said("2 plus 3 is 5."))
        terminal.line("/quit")
        assert ended(terminal) == 0
        assert "1 said, 1 answered" in "".join(terminal.screen())
        assert "\x1b[" not in terminal.colours()


# ---- what a call can be asked for ----


def test_a_picture_is_made_small_enough_for_the_channel_and_shown(url: str) -> None:
    with talking(url, "--text", size=(100, 30)) as terminal:
        (terminal.home / "a picture.png").write_bytes(noise(700, 500))
        (terminal.home / "text.png").write_text("no picture")
        terminal.line(f"/image '{terminal.home}/a picture.png' what is this")
        screen = terminal.wait_for("  you  what is this")
        told = next(row for row in screen if "sent as" in row)
        found = re.search(r"sent as (\d+) of (\d+)", told)
        assert found, told
        assert int(found[1]) < int(found[2])
        terminal.wait_for("model  ")
        for name, why in (("text.png", "neither PNG nor JPEG"), ("absent.png", "No such file")):
            terminal.line(f"/image {terminal.home}/{name}")
            terminal.wait_for(why)


def test_push_to_talk_begins_and_ends_in_mid_call(url: str, sounds: Path) -> None:
    with talking(url, "--input", f"{sounds}/quiet.wav") as terminal:
        terminal.line("/ptt")
        terminal.wait_for(lambda screen: "Ctrl-T to talk" in screen[-1])
        terminal.keys("C-t")
        terminal.wait_for(lambda screen: "your turn" in screen[-1])
        terminal.line("/ptt")
        terminal.wait_for(lambda screen: "mic ▁" in screen[-1])


def test_a_voice_that_was_heard_stays_and_the_user_is_told_why(url: str) -> None:
    with talking(url) as terminal:
        terminal.line("/voice cedar")
        terminal.line("hello")
        terminal.wait_for("model  ")
        terminal.line("/voice marin")
        terminal.wait_for("the voice can not change after the model has spoken")


def test_a_device_that_is_not_there_changes_nothing(url: str) -> None:
    with talking(url, "--text", size=(100, 30)) as terminal:
        terminal.line("/devices output no-such-device")
        terminal.wait_for("the output stays as it is")
        terminal.line("/volume 30")
        terminal.wait_for("volume: 30%")
        terminal.line("/volume loud")
        terminal.wait_for("/volume takes a number")


@contextmanager
def carded() -> Iterator[Card]:
    """A virtual sound card, for the programs that are led to it."""
    if lacking := missing_card():
        if is_required():
            pytest.fail(f"the virtual sound card needs {lacking}")
        pytest.skip(f"NOT RUN: the virtual sound card needs {lacking}")
    with tempfile.TemporaryDirectory(prefix="card-") as home:
        card = Card(Path(home))
        card.start()
        try:
            yield card
        finally:
            card.stop()


def picked(terminal: Terminal, what: str) -> str:
    """The number of a device in the list that `/devices` shows, by how its row begins."""
    terminal.keys("C-l")
    terminal.line("/devices")
    screen = terminal.wait_for("type a number")
    return next(row.split()[0] for row in screen if re.search(rf"\d  {what}", row))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_devices_to_pick_from_look_as_they_should(url: str, size: tuple[int, int]) -> None:
    with carded() as card, talking(url, size=size, env=card.settings) as terminal:
        terminal.line(picked(terminal, "speaker +card_speaker"))
        terminal.wait_for("speaker: card_speaker")
        picked(terminal, "microphone +card_mic")
        agrees(f"devices-{size[0]}x{size[1]}", terminal.wait_for(lambda screen: ">" in screen and " ms" in screen[-1]))


def test_another_speaker_is_picked_by_its_number_in_mid_call_and_the_model_is_heard_there(url: str) -> None:
    with carded() as card, talking(url, env=card.settings) as terminal:
        number = picked(terminal, "speaker +card_speaker")
        terminal.line("99")
        terminal.wait_for("no device 99")
        assert picked(terminal, "speaker +card_speaker") == number
        terminal.line(number)
        terminal.wait_for("speaker: card_speaker")
        sound = card.home / "heard"
        with card.recording(sound):
            terminal.line("hello")
            terminal.wait_for("model  ")
            terminal.wait_for(at_rest)
        heard = array("h", sound.read_bytes())
        assert max(map(abs, heard)) > LOUD, "the model is not heard on the speaker that was picked"
        terminal.line("7")
        terminal.wait_for("  you  7")


def test_another_microphone_is_picked_in_mid_call_its_loss_is_told_and_it_comes_back(url: str, sounds: Path) -> None:
    with carded() as card, talking(url, env=card.settings) as terminal:
        assert "no mic" in terminal.screen()[-1]
        terminal.line(picked(terminal, "microphone +card_mic"))
        terminal.wait_for("microphone: card_mic")
        terminal.wait_for(lambda screen: screen[-1].startswith("listening"))
        picked(terminal, "microphone +card_mic.*, in use")
        card.play(short(sounds / "spoken.wav", card.home))
        terminal.wait_for("  you  [speech")
        terminal.wait_for("model  I heard you")
        card.unplug("mic")
        terminal.wait_for("warning: card_mic")
        terminal.line("say pears")
        terminal.wait_for(lambda screen: any("pears" in row.lower() and row.startswith("model") for row in screen))
        card.plug("mic")
        terminal.wait_for("card_mic is back")


def short(recording: Path, folder: Path) -> Path:
    """The first four seconds."""
    path = folder / "short.wav"
    with wave.open(str(recording)) as long, wave.open(str(path), "wb") as file:
        file.setparams(long.getparams())
        file.writeframes(long.readframes(4 * long.getframerate()))
    return path


def test_what_is_said_up_to_the_key_that_ends_the_turn_is_heard(url: str, sounds: Path) -> None:
    """The sandbox tells how much it heard. Keys and sound travel apart: without a tail the end would be cut off.

    A key may be late itself, on a busy machine; not the first of a turn each time, and not the second.
    """
    unheard: list[float] = []
    with talking(url, "--ptt", "--input", f"{sounds}/spoken.wav") as terminal:
        for number in (1, 2):
            terminal.keys("C-t")
            begun = time.monotonic()
            terminal.wait_for(lambda screen: "your turn" in screen[-1])
            time.sleep(1.0)  # somebody speaks
            spoken = time.monotonic() - begun
            terminal.keys("C-t")
            terminal.wait_for(partial(shows_speech, number))
            told = re.findall(r"\[speech ([\d.]+) s", "\n".join(terminal.screen()))[-1]
            unheard.append(spoken - float(told))
            terminal.wait_for(at_rest)
    assert min(unheard) <= 0, f"of what was said {min(unheard):.2f} s were not heard"
