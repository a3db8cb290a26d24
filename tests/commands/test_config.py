from __future__ import annotations

import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcli.commands.config import app
from rtcli.errors import UsageError
from rtcli.settings import SETTINGS
from tests.program import rtcli


KEY = "sk-proj-MARKED0123456789abcdefghij"

Run = Callable[..., tuple[str, str]]
"""Runs `rtcli config ...`: standard output, standard error."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of this test; nothing else says anything."""
    for name in [name for name in os.environ if name.startswith(("RTCLI_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("RTCLI_CONFIG", str(path))
    return path


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_config(*arguments: str) -> tuple[str, str]:
        capsys.readouterr()
        app(list(arguments), standalone_mode=False)
        out, err = capsys.readouterr()
        return out, err

    return run_config


# Looking


def test_path_lists_every_place(run: Run, file: Path) -> None:
    lines = [line.split("\t") for line in run("path")[0].splitlines()]
    assert [name for name, _ in lines] == ["config", "cache", "state", "recordings", "live", "key"]
    assert dict(lines)["config"] == str(file)
    assert dict(lines)["key"] == "keyring entry rtcli/default"
    assert json.loads(run("path", "--json")[0]) == dict(lines)


def test_path_names_the_keyring_entry_of_the_profile_in_use(run: Run, file: Path) -> None:
    file.write_text('default_profile = "work"\n[profiles.work]\n[profiles.team]\n')
    assert run("path")[0].splitlines()[-1] == "key\tkeyring entry rtcli/work"
    assert run("path", "-p", "team")[0].splitlines()[-1] == "key\tkeyring entry rtcli/team"


def test_path_answers_while_the_file_is_broken(run: Run, file: Path) -> None:
    file.write_text("voice = ")
    assert run("path")[0].startswith(f"config\t{file}\n")


def test_show_is_toml_that_says_the_same_again(run: Run, file: Path) -> None:
    file.write_text(
        'instructions = "Be \\"brief\\".\\nBe kind.\\u001b[2J\\u2028"\nice_servers = ["stun:a", "stun:b"]\n'
        '[headers]\n"X!" = "env:A"\n[prices."m.1"]\ntext_in = 1.5\n"a b" = 2\n'
    )
    shown = run("show")[0]
    assert "\x1b" not in shown
    assert "\u2028" not in shown
    file.write_text(shown)
    assert run("show")[0] == shown
    assert tomllib.loads(shown)["prices"] == {"m.1": {"text_in": 1.5, "a b": 2.0}}
    assert "# server is not set\n" in shown


def test_show_names_every_setting_and_where_it_came_from(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('model = "m"\n[headers]\nX-A = "env:A"\n[profiles.work]\nvoice = "ash"\n')
    monkeypatch.setenv("RTCLI_EVENTS", "all")
    monkeypatch.setenv("RTCLI_HEADERS", "X-B: env:B")
    lines = run("show", "--origin", "-p", "work")[0].splitlines()
    assert 'model = "m"  # config.toml' in lines
    assert 'voice = "ash"  # profile work' in lines
    assert 'events = "all"  # RTCLI_EVENTS' in lines
    assert 'headers.X-A = "env:A"  # config.toml' in lines
    assert 'headers.X-B = "env:B"  # RTCLI_HEADERS' in lines
    assert 'default_profile = "work"  # flag' in lines
    assert 'audio.echo = "auto"  # default' in lines
    named = {line.removeprefix("# ").split()[0].removesuffix(".X-A").removesuffix(".X-B") for line in lines}
    assert named == set(SETTINGS)


def test_show_as_json_is_one_document(run: Run, file: Path) -> None:
    file.write_text('voice = "ash"')
    values = json.loads(run("show", "--json")[0])
    assert list(values) == list(SETTINGS)
    assert (values["voice"], values["server"]) == ("ash", None)
    told = json.loads(run("show", "--json", "--origin")[0])
    assert told["voice"] == {"value": "ash", "origin": "config.toml"}
    assert told["server"] == {"value": None, "origin": "default"}


def test_no_secret_is_ever_shown(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        'proxy = "http://me:hunter2@p"\nice_servers = ["turn:me:hunter2@t"]\n'
        '[headers]\nX-Any = "hunter2"\nAuthorization = "Bearer env:TOKEN"\n'
    )
    monkeypatch.setenv("TOKEN", "hunter2")
    monkeypatch.setenv("RTCLI_API_KEY", KEY)
    for arguments in (["show"], ["show", "--origin"], ["show", "--json"], ["get", "headers"], ["get", "proxy"]):
        out, err = run(*arguments)
        assert "hunter2" not in out + err
        assert KEY not in out + err
    assert run("get", "headers.authorization")[0] == "Bearer env:TOKEN\n"
    assert run("get", "headers.X-Any")[0] == "***\n"


def test_get_prints_the_bare_value(run: Run, file: Path) -> None:
    file.write_text('audio.input = "Mac Book"\nice_servers = ["stun:a"]\n[profiles.work]\nhistory = true\n')
    assert run("get", "audio.input")[0] == "Mac Book\n"
    assert run("get", "ice_servers")[0] == '["stun:a"]\n'
    assert run("get", "history")[0] == "false\n"
    assert run("get", "history", "-p", "work")[0] == "true\n"
    assert run("get", "server")[0] == ""
    assert run("get", "headers.X")[0] == ""


@pytest.mark.parametrize("command", [["get"], ["set"]])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modle", r"no setting modle \(the nearest is model\)"),
        ("headers.a.b", r"no setting headers\.a\.b"),
        ("profiles.work.model", r"no setting profiles\.work\.model"),
        ("a b", r"'a b' is no dotted name"),
        ("x = 1\ny", r"'x = 1\\ny' is no dotted name"),
        ("", "'' is no dotted name"),
        ("[a]\nb", "is no dotted name"),
        ("voice = 0 #", "is no dotted name"),
        ("voice.", "is no dotted name"),
        ('"voice', "is no dotted name"),
    ],
)
def test_a_name_that_is_none_is_refused(run: Run, command: list[str], name: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        run(*command, name, *(["1"] if command == ["set"] else []))


def test_unknown_keys_are_warned_of_on_standard_error_unless_quiet(run: Run, file: Path) -> None:
    file.write_text("vioce = 1\n")
    out, err = run("show")
    assert err == f"warning: {file}: unknown key vioce (the nearest is voice)\n"
    assert "vioce" not in out
    assert run("show", "-q")[1] == ""


# Changing


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("voice", "cedar", "cedar"),
        ("connect_timeout", "5", 5.0),
        ("vad_silence_ms", "300", 300),
        ("interrupt", "off", False),
        ("ice_servers", "stun:a, turn:u:env:P@b", ["stun:a", "turn:u:env:P@b"]),
        ("headers", "A: env:X", {"A": "env:X"}),
        ("prices", '{"m": {"text_in": 1}}', {"m": {"text_in": 1.0}}),
        ("proxy", "env:PROXY", "env:PROXY"),
        ("base_url", "https://a.example/v1", "https://a.example/v1"),
        ("instructions", 'Say "hi"\nthen stop', 'Say "hi"\nthen stop'),
    ],
)
def test_set_writes_what_get_and_toml_read(run: Run, file: Path, name: str, text: str, expected: object) -> None:
    out, err = run("set", name, text)
    assert (out, err) == ("", f"set {name} in {file}\n")
    assert tomllib.loads(file.read_text())[name] == expected
    got = run("get", name)[0].removesuffix("\n")
    assert got == (expected if isinstance(expected, str) else json.dumps(expected))


def test_set_reaches_groups_headers_and_profiles(run: Run, file: Path) -> None:
    run("set", "audio.input", "Mac")
    run("set", "audio.input", "USB", "-p", "work")
    run("set", "headers.X-Team", "env:TEAM", "-p", "work")
    assert tomllib.loads(file.read_text()) == {
        "audio": {"input": "Mac"},
        "profiles": {"work": {"audio": {"input": "USB"}, "headers": {"X-Team": "env:TEAM"}}},
    }


def test_set_says_so_when_a_profile_is_new(run: Run, file: Path) -> None:
    assert run("set", "voice", "ash", "-p", "wrok")[1] == f"profile wrok is new\nset profiles.wrok.voice in {file}\n"
    assert run("set", "voice", "ash", "-p", "wrok")[1] == f"set profiles.wrok.voice in {file}\n"
    assert run("set", "voice", "ash", "-p", "wrok", "-q")[1] == ""


def test_the_profile_of_the_variable_counts_for_changes_and_the_default_one_does_not(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('default_profile = "work"\n[profiles.work]\n[profiles.team]\n')
    run("set", "voice", "cedar")
    monkeypatch.setenv("RTCLI_PROFILE", "team")
    run("set", "voice", "ash")
    document = tomllib.loads(file.read_text())
    assert document["voice"] == "cedar"
    assert document["profiles"] == {"work": {}, "team": {"voice": "ash"}}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("vad", "loud", "vad is 'loud'; expected one of server, semantic, off"),
        ("connect_timeout", "ten", "connect_timeout is 'ten'; expected a number of seconds, 0.1 to 600"),
        ("history", "perhaps", "history is 'perhaps'; expected true or false"),
        ("prices", "{", "prices is '{'; expected a table of prices for each model"),
        ("headers.A", "a\nb", "headers.A does not fit; expected headers"),
        ("headers.Authorization", f"Bearer {KEY}", "headers.Authorization holds an API key in the clear"),
        ("proxy", f"http://u:{KEY}@p", "proxy holds an API key in the clear"),
        ("model", KEY, "model holds an API key in the clear"),
        ("default_profile", "wrok", "no profile wrok in "),
    ],
)
def test_set_refuses_what_does_not_fit_and_leaves_the_file_alone(
    run: Run, file: Path, name: str, text: str, expected: str
) -> None:
    file.write_text("voice = 'v'  # mine\n[profiles.work]\n")
    with pytest.raises(UsageError) as refused:
        run("set", name, text)
    assert str(refused.value).startswith(expected)
    assert KEY not in str(refused.value)
    assert file.read_text() == "voice = 'v'  # mine\n[profiles.work]\n"


def test_a_profile_has_no_default_profile(run: Run, file: Path) -> None:
    with pytest.raises(UsageError, match="default_profile belongs to no profile"):
        run("set", "default_profile", "work", "-p", "work")
    assert not file.exists()


def test_a_path_is_kept_as_it_was_meant_where_it_was_typed(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run("set", "ca_bundle", "own.pem")
    run("set", "instructions", "@kind.txt")
    assert tomllib.loads(file.read_text()) == {
        "ca_bundle": str(elsewhere / "own.pem"),
        "instructions": f"@{elsewhere / 'kind.txt'}",
    }


def test_one_wrong_value_does_not_keep_others_from_being_repaired(run: Run, file: Path) -> None:
    file.write_text("vad = 'loud'\nhistory = 'perhaps'\n")
    _, err = run("set", "vad", "off")
    assert err == f"set vad in {file}\nwarning: {file}: history is 'perhaps'; expected true or false\n"
    assert run("set", "history", "on")[1] == f"set history in {file}\n"


def test_unset_takes_out_values_typing_errors_keys_and_profiles(run: Run, file: Path) -> None:
    file.write_text(f'vioce = 1\nvoice = "v"\napi_key = "{KEY}"\n[profiles.work]\nvoice = "w"\n[profiles."a b"]\n')
    for arguments in (["vioce"], ["api_key"], ["voice", "-p", "work"], ['profiles."a b"'], ["voice"]):
        out, err = run("unset", *arguments)
        assert out == ""
        assert KEY not in err
    assert tomllib.loads(file.read_text()) == {"profiles": {"work": {}}}
    with pytest.raises(UsageError, match=f"voice is not set in {file}"):
        run("unset", "voice")


def test_unset_warns_when_it_takes_the_default_profile_away(run: Run, file: Path) -> None:
    file.write_text('default_profile = "work"\n[profiles.work]\nvoice = "v"\n')
    assert f"warning: no profile work in {file}; there are: none" in run("unset", "profiles.work")[1]


# Editing


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes $EDITOR a program that writes this into the file, and ends with 3 when it is to write `fail`."""

    def make(text: str) -> None:
        script = tmp_path / "my editor.py"
        script.write_text(
            "import sys, pathlib\n"
            f"text = {text!r}\n"
            "if text == 'fail': sys.exit(3)\n"
            "path = pathlib.Path(sys.argv[2])\n"
            "assert sys.argv[1] == '--wait'\n"
            "path.write_text(path.read_text() + text)\n"
        )
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f'"{sys.executable}" "{script}" --wait')

    return make


def test_edit_opens_the_file_and_warns_of_what_is_odd(run: Run, file: Path, editor: Callable[[str], None]) -> None:
    editor("vioce = 1\n")
    assert run("edit") == ("", f"warning: {file}: unknown key vioce (the nearest is voice)\n")
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_edit_refuses_what_was_broken_and_keeps_it_for_the_next_try(
    run: Run, file: Path, editor: Callable[[str], None]
) -> None:
    editor("voice = \n")
    with pytest.raises(UsageError, match=r"is not TOML: .*line 1"):
        run("edit")
    assert file.read_text() == "voice = \n"
    editor(f'"{KEY}"\n')
    with pytest.raises(UsageError, match="not TOML"):
        run("edit")
    file.write_text("")
    editor("[profiles.other]\nvad = 'loud'\n")
    with pytest.raises(UsageError, match=r"profiles\.other\.vad is 'loud'"):
        run("edit")


def test_edit_tells_when_there_is_no_editor_or_it_fails(
    run: Run, editor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    editor("fail")
    with pytest.raises(UsageError, match="ended with status 3"):
        run("edit")
    monkeypatch.setenv("EDITOR", "surely-no-such-editor --wait")
    with pytest.raises(UsageError, match="the editor surely-no-such-editor can not be started"):
        run("edit")
    monkeypatch.setenv("EDITOR", " ")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(UsageError, match="no editor: VISUAL and EDITOR are not set"):
        run("edit")


@pytest.mark.skipif(sys.platform == "win32", reason="quotation marks are read differently there")
def test_an_editor_with_an_open_quotation_mark_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "vi 'x")
    with pytest.raises(UsageError, match="VISUAL has a quotation mark that does not end"):
        run("edit")


# As a program


def test_the_statuses_and_streams_are_those_of_the_contract(tmp_path: Path) -> None:
    done = rtcli("config", "set", "voice", "cedar", "-p", "work", home=tmp_path)
    assert (done.status, done.out) == (0, "")
    done = rtcli("config", "get", "voice", home=tmp_path, env={"RTCLI_PROFILE": "work"})
    assert (done.status, done.out, done.err) == (0, "cedar\n", "")
    done = rtcli("config", "get", "voice", "-p", "team", home=tmp_path)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "no profile team in " in done.err
