from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtcli.errors import UsageError
from rtcli.setting_kinds import plain
from rtcli.settings import SETTINGS, Settings, check_config, config_path, named_profile, places, resolve, setting_named


KEY = "sk-proj-MARKED0123456789abcdefghij"


def resolved(
    text: str = "",
    *,
    folder: Path,
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    profile: str | None = None,
) -> Settings:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return resolve(flags or {}, environ=environ or {}, config_file=file, profile=profile)


def refusal(
    text: str = "",
    *,
    folder: Path,
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    profile: str | None = None,
) -> str:
    with pytest.raises(UsageError) as refused:
        resolved(text, folder=folder, flags=flags, environ=environ, profile=profile)
    message = str(refused.value)
    assert "\n" not in message
    assert KEY not in message
    return message


# Who wins


LAYERS = """
model = "of the file"
[profiles.work]
model = "of the profile"
"""


def test_a_flag_beats_a_variable_beats_the_profile_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    variable = {"RTCLI_MODEL": "of the variable"}
    flag: dict[str, object] = {"model": "of the flag"}
    outcomes = [
        resolved(LAYERS, folder=tmp_path, flags=flag, environ=variable, profile="work"),
        resolved(LAYERS, folder=tmp_path, environ=variable, profile="work"),
        resolved(LAYERS, folder=tmp_path, profile="work"),
        resolved(LAYERS, folder=tmp_path),
        resolved("", folder=tmp_path),
    ]
    assert [(each.model, each.origin("model"), each.given("model")) for each in outcomes] == [
        ("of the flag", "flag", True),
        ("of the variable", "RTCLI_MODEL", True),
        ("of the profile", "profile work", True),
        ("of the file", "config.toml", True),
        ("gpt-realtime-2", "default", False),
    ]


def test_without_a_file_the_defaults_of_the_record_hold() -> None:
    assert resolve({}, environ={}, config_file=None) == Settings()
    assert resolve({}, environ={}, config_file=Path("there/is/none.toml")) == Settings()


def test_a_flag_that_was_not_given_and_an_empty_variable_say_nothing(tmp_path: Path) -> None:
    settings = resolved(
        'voice = "ash"\n[headers]\nA = "b"',
        folder=tmp_path,
        flags={"voice": None, "headers": [], "ice_servers": (), "sandbox": True},
        environ={"RTCLI_VOICE": " "},
    )
    assert settings.origin("voice") == "config.toml"
    assert settings.origin("headers") == "config.toml"
    assert settings.origin("ice_servers") == "default"


def test_false_is_something_a_flag_can_say(tmp_path: Path) -> None:
    settings = resolved("text = true\nhistory = true", folder=tmp_path, flags={"text": False})
    assert (settings.text, settings.history) == (False, True)


@pytest.mark.parametrize(
    ("profile", "environ", "expected", "origin"),
    [
        ("a", {"RTCLI_PROFILE": "b"}, "a", "flag"),
        (None, {"RTCLI_PROFILE": "b"}, "b", "RTCLI_PROFILE"),
        (None, {}, "c", "config.toml"),
    ],
)
def test_the_profile_is_chosen_by_flag_then_variable_then_default_profile(
    tmp_path: Path, profile: str | None, environ: dict[str, str], expected: str, origin: str
) -> None:
    text = 'default_profile = "c"\n' + "".join(f'[profiles.{name}]\nvoice = "voice-{name}"\n' for name in "abc")
    settings = resolved(text, folder=tmp_path, environ=environ, profile=profile)
    assert (settings.profile, settings.origin("profile"), settings.voice) == (expected, origin, f"voice-{expected}")


@pytest.mark.parametrize("where", ["flag", "variable", "default_profile"])
def test_a_missing_profile_is_refused_with_those_there_are(tmp_path: Path, where: str) -> None:
    text = "[profiles.work]\n[profiles.team]\n"
    if where == "default_profile":
        text = 'default_profile = "wrok"\n' + text
    message = refusal(
        text,
        folder=tmp_path,
        profile="wrok" if where == "flag" else None,
        environ={"RTCLI_PROFILE": "wrok"} if where == "variable" else {},
    )
    assert "no profile wrok" in message
    assert "there are: work, team" in message


def test_without_profiles_the_refusal_says_there_are_none(tmp_path: Path) -> None:
    assert refusal(folder=tmp_path, profile="work").endswith("there are: none")


def test_the_base_url_of_others_replaces_the_default_only(tmp_path: Path) -> None:
    theirs = {"OPENAI_BASE_URL": "https://proxy.example/v1/"}
    replaced = resolved(folder=tmp_path, environ=theirs)
    assert (replaced.base_url, replaced.origin("base_url")) == ("https://proxy.example/v1", "OPENAI_BASE_URL")
    own = 'base_url = "https://mine.example/v1"'
    assert resolved(own, folder=tmp_path, environ=theirs).base_url == "https://mine.example/v1"
    assert resolved(own, folder=tmp_path, environ={"OPENAI_BASE_URL": "nonsense"}).origin("base_url") == "config.toml"


def test_headers_of_all_layers_go_together_and_the_nearer_wins_whatever_its_case(tmp_path: Path) -> None:
    text = '[headers]\nX-Team = "file"\nX-A = "1"\n[profiles.p.headers]\nx-team = "env:TEAM"\n'
    settings = resolved(text, folder=tmp_path, profile="p", flags={"headers": ["X-B: 2"]})
    shown = {name: value.reveal({"TEAM": "blue"}).reveal() for name, value in settings.headers.items()}
    assert shown == {"x-team": "blue", "X-A": "1", "X-B": "2"}
    origins = [settings.origin(f"headers.{name}") for name in ("x-team", "X-A", "X-B")]
    assert origins == ["profile p", "config.toml", "flag"]


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ({"direct": True}, 'server = "https://s.example"', (True, None)),
        ({"server": "https://s.example"}, "direct = true", (False, "https://s.example")),
        ({"direct": False}, 'server = "https://s.example"', (False, "https://s.example")),
        ({"base_url": "https://b.example"}, 'server = "https://s.example"', (False, None)),
        (
            {"base_url": "https://b.example"},
            'server = "https://s.example"\nserver_mode = "token"',
            (False, "https://s.example"),
        ),
        ({"server": "https://s.example"}, 'base_url = "https://b.example"', (False, "https://s.example")),
        ({}, 'base_url = "https://b.example"\nserver = "https://s.example"', (False, "https://s.example")),
    ],
)
def test_the_nearer_way_in_drops_the_farther(
    tmp_path: Path, flags: dict[str, object], text: str, expected: tuple[bool, str | None]
) -> None:
    settings = resolved(text, folder=tmp_path, flags=flags)
    assert (settings.direct, settings.server) == expected


def test_two_ways_in_at_the_same_place_are_refused(tmp_path: Path) -> None:
    message = refusal(folder=tmp_path, flags={"direct": True, "server": "https://s.example"})
    assert message == "direct and server exclude one another (flag)"


def test_the_nearer_safety_identifier_drops_the_farther_and_two_at_one_place_are_refused(tmp_path: Path) -> None:
    settings = resolved('safety_id_hash = "anna"', folder=tmp_path, flags={"safety_id": "user-7"})
    assert (settings.safety_id, settings.safety_id_hash) == ("user-7", None)
    message = refusal(folder=tmp_path, flags={"safety_id": "user-7", "safety_id_hash": "anna"})
    assert message == "safety_id and safety_id_hash exclude one another (flag)"


# What fits


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('connect_timeout = "ten"', "connect_timeout is 'ten'; expected a number of seconds, 0.1 to 600"),
        ("connect_timeout = true", "connect_timeout is True; expected a number of seconds, 0.1 to 600"),
        ("connect_timeout = nan", "connect_timeout is nan; expected a number of seconds, 0.1 to 600"),
        ("max_cost = inf", "max_cost is inf; expected a number of dollars, 0 to 1e+06"),
        ("vad_silence_ms = 0.5", "vad_silence_ms is 0.5; expected a whole number of milliseconds, 0 to 60000"),
        ("vad_threshold = 2", "vad_threshold is 2; expected a number, 0 to 1"),
        ('vad = "loud"', "vad is 'loud'; expected one of server, semantic, off"),
        ("text = 1", "text is 1; expected true or false"),
        ("model = 2", "model is 2; expected the name of a model"),
        ('model = ""', "model is ''; expected the name of a model"),
        ('model = "a\\u001b[2J"', "model is 'a\\x1b[2J'; expected the name of a model"),
        ('language = ["de"]', "language is ['de']; expected a language code such as en"),
        ('audio = "MacBook"', "audio is 'MacBook'; expected a table"),
        ("prices = 3", "prices is 3; expected a table of prices for each model"),
        ('prices.m.text_in = "1"', "prices is {'m': {'text_in': '1'}}; expected a table of prices for each model"),
        ("prices.m = 3", "prices is {'m': 3}; expected a table of prices for each model"),
        ('base_url = "ftp://u:hunter2@h"', "base_url does not fit; expected an http or https URL without"),
        ('server = "https://u:hunter2@h"', "server does not fit; expected an http or https URL without"),
        ('proxy = "u:hunter2@h:80"', "proxy does not fit; expected http://HOST:PORT"),
        ("headers = 1", "headers does not fit; expected headers"),
        ('headers = {"A B" = "hunter2"}', "headers does not fit; expected headers"),
        ('headers = {A = "hunter2\\r\\nB: c"}', "headers does not fit; expected headers"),
        ('ice_servers = "stun:h"', "ice_servers does not fit; expected a list of stun:HOST:PORT"),
        ('ice_servers = ["turn:hunter2@h"]', "ice_servers does not fit; expected a list of stun:HOST:PORT"),
        ('ice_servers = ["https://h"]', "ice_servers does not fit; expected a list of stun:HOST:PORT"),
    ],
)
def test_a_wrong_value_is_refused_with_file_key_and_what_is_expected(tmp_path: Path, line: str, expected: str) -> None:
    message = refusal(line, folder=tmp_path)
    assert message.startswith(f"{tmp_path / 'config.toml'}: {expected}")
    assert "hunter2" not in message
    in_profile = refusal("[profiles.work]\n" + line, folder=tmp_path, profile="work")
    assert in_profile.startswith(f"{tmp_path / 'config.toml'}: profiles.work.{expected}")


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("RTCLI_CONNECT_TIMEOUT", "ten", "RTCLI_CONNECT_TIMEOUT is 'ten'; expected a number of seconds, 0.1 to 600"),
        ("RTCLI_VAD_SILENCE_MS", "1e9", "RTCLI_VAD_SILENCE_MS is '1e9'; expected a whole number of milliseconds"),
        ("RTCLI_TEXT", "maybe", "RTCLI_TEXT is 'maybe'; expected true or false"),
        ("RTCLI_HEADERS", "hunter2", "RTCLI_HEADERS does not fit; expected headers"),
        ("RTCLI_CONNECT_TIMEOUT", KEY, "RTCLI_CONNECT_TIMEOUT holds an API key in the clear"),
        ("RTCLI_PRICES", "{", "RTCLI_PRICES is '{'; expected a table of prices for each model"),
        ("OPENAI_BASE_URL", "api", "OPENAI_BASE_URL does not fit; expected an http or https URL"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path, variable: str, text: str, expected: str) -> None:
    assert refusal(folder=tmp_path, environ={variable: text}).startswith(expected)


def test_a_wrong_flag_is_refused_by_the_option_people_typed(tmp_path: Path) -> None:
    assert refusal(folder=tmp_path, flags={"audio_echo": "x"}).startswith("--echo is 'x'; expected one of auto, aec")
    assert refusal(folder=tmp_path, flags={"headers": ["nonsense"]}).startswith("--header does not fit")


EVERY = {
    "base_url": ("https://x.example/v1", "https://x.example/v1"),
    "dialect": ("azure", "azure"),
    "server": ("https://s.example/app/", "https://s.example/app"),
    "server_mode": ("token", "token"),
    "direct": ("no", False),
    "connect_timeout": ("2.5", 2.5),
    "proxy": ("socks5h://127.0.0.1:9050", "socks5h://127.0.0.1:9050"),
    "ca_bundle": ("certs/own.pem", str(Path("certs/own.pem"))),
    "ice_servers": (
        "stun:a.example turn:me:env:PW@b.example:3478",
        ["stun:a.example", "turn:me:env:PW@b.example:3478"],
    ),
    "headers": ("A: env:X\nB: Bearer env:Y", {"A": "env:X", "B": "Bearer env:Y"}),
    "safety_id": ("u1", "u1"),
    "safety_id_hash": ("u@example.com", "u@example.com"),
    "model": ("m", "m"),
    "voice": ("ash", "ash"),
    "instructions": ("Be brief.\nBe kind.", "Be brief.\nBe kind."),
    "text": ("on", True),
    "vad": ("semantic", "semantic"),
    "eagerness": ("low", "low"),
    "vad_threshold": ("0.7", 0.7),
    "vad_silence_ms": ("700", 700),
    "interrupt": ("false", False),
    "noise_reduction": ("far", "far"),
    "transcribe": ("off", "off"),
    "language": ("de", "de"),
    "audio.input": ("MacBook", "MacBook"),
    "audio.output": ("none", "none"),
    "audio.echo": ("gate", "gate"),
    "audio.packet_ms": ("10", 10),
    "events": ("key", "key"),
    "history": ("1", True),
    "max_cost": ("0.5", 0.5),
    "max_duration": ("60", 60.0),
    "idle_timeout": ("9", 9.0),
    "prices": ('{"m": {"text_in": 1.5}}', {"m": {"text_in": 1.5}}),
    "default_profile": ("work", "work"),
}


def test_every_setting_can_be_said_by_its_variable(tmp_path: Path) -> None:
    assert list(EVERY) == list(SETTINGS)
    for name, (text, expected) in EVERY.items():
        setting = SETTINGS[name]
        settings = resolved("[profiles.work]", folder=tmp_path, environ={setting.variable: text})
        assert plain(getattr(settings, setting.field)) == expected, name
        assert settings.origin(name) == settings.origin(setting.field) == setting.variable


def test_every_setting_survives_the_file_as_it_is_shown(tmp_path: Path) -> None:
    # JSON is TOML where no null and no nested object is involved, which no value of EVERY but two has.
    for name, (_, shown) in EVERY.items():
        value = json.dumps(shown) if not isinstance(shown, dict) else ""
        table = (
            "".join(f"{name}.{key} = {toml(entry)}\n" for key, entry in shown.items())
            if isinstance(shown, dict)
            else ""
        )
        settings = resolved(table or f"{name} = {value}\n[profiles.work]", folder=tmp_path)
        found = plain(getattr(settings, SETTINGS[name].field))
        assert found == (str(tmp_path / str(shown)) if name == "ca_bundle" else shown), name
        assert settings.warnings == ()


def toml(entry: object) -> str:
    if isinstance(entry, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in entry.items()) + "}"
    return json.dumps(entry)


def test_paths_in_the_file_are_relative_to_it_and_those_of_a_flag_are_not(tmp_path: Path) -> None:
    text = 'ca_bundle = "own.pem"\ninstructions = "@prompts/kind.txt"'
    settings = resolved(text, folder=tmp_path)
    assert settings.ca_bundle == tmp_path / "own.pem"
    assert settings.instructions == f"@{tmp_path / 'prompts/kind.txt'}"
    given = resolved(text, folder=tmp_path, flags={"ca_bundle": Path("own.pem"), "instructions": "@kind.txt"})
    assert (given.ca_bundle, given.instructions) == (Path("own.pem"), "@kind.txt")


def test_empty_instructions_ask_for_none(tmp_path: Path) -> None:
    settings = resolved('instructions = ""', folder=tmp_path)
    assert (settings.instructions, settings.given("instructions")) == ("", True)


# The file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("modle = 1", "unknown key modle (the nearest is model)"),
        ("[audio]\nechoo = 1", "unknown key audio.echoo (the nearest is audio.echo)"),
        ("xyzzy = 1", "unknown key xyzzy"),
        ('"a\\u001b[2J" = 1', "unknown key 'a\\x1b[2J'"),
        ("[audio.profiles]\n", "unknown key audio.profiles (the nearest is default_profile)"),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest_name(tmp_path: Path, text: str, expected: str) -> None:
    assert resolved(text, folder=tmp_path).warnings == (f"{tmp_path / 'config.toml'}: {expected}",)


def test_a_profile_chooses_no_profile(tmp_path: Path) -> None:
    settings = resolved('[profiles.a]\ndefault_profile = "b"\nprofiles = {}', folder=tmp_path, profile="a")
    assert settings.profile == "a"
    assert len(settings.warnings) == 2
    assert "unknown key profiles.a.default_profile" in settings.warnings[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = \n", "is not TOML: .*line 2"),
        ("profiles = 1", "profiles is not a table"),
        ("profiles.x = 1", r"profiles\.x is not a table"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    message = refusal(text, folder=tmp_path, profile="x")
    assert re.search(expected, message)
    assert message.startswith(str(tmp_path / "config.toml"))


def test_checking_the_file_reads_every_profile(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert check_config({"profiles": {"a": {"modle": 1}, "b": {}}, "x": 1}, file) == (
        f"{file}: unknown key x",
        f"{file}: unknown key profiles.a.modle (the nearest is model)",
    )
    with pytest.raises(UsageError, match=r"profiles\.b\.text is 3"):
        check_config({"profiles": {"a": {}, "b": {"text": 3}}}, file)
    with pytest.raises(UsageError, match="no profile c"):
        check_config({"default_profile": "c", "profiles": {"a": {}}}, file)


def test_the_path_is_the_platforms_or_the_one_named(tmp_path: Path) -> None:
    assert config_path({"RTCLI_CONFIG": str(tmp_path / "x.toml")}) == tmp_path / "x.toml"
    assert config_path({"RTCLI_CONFIG": "~/x.toml"}) == Path.home() / "x.toml"
    assert config_path({"RTCLI_CONFIG": "~nobody-of-this-name/x.toml"}) == Path("~nobody-of-this-name/x.toml")
    assert config_path({}).parts[-2:] == ("rtcli", "config.toml")


def test_the_profile_named_needs_not_exist() -> None:
    assert named_profile("flag", environ={"RTCLI_PROFILE": "variable"}) == "flag"
    assert named_profile(None, environ={"RTCLI_PROFILE": "variable"}) == "variable"
    assert named_profile(None, environ={"RTCLI_PROFILE": " "}) is None


def test_every_place_is_named_without_making_it_or_complaining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    named = places({"RTCLI_CONFIG": "mine.toml"})
    assert list(named) == ["config", "cache", "state", "recordings", "live"]
    assert named["config"] == Path("mine.toml")
    assert len(set(named.values())) == len(named)
    assert list(tmp_path.iterdir()) == []


def test_a_named_file_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    settings = resolve({}, environ={"RTCLI_CONFIG": str(missing)}, config_file=missing)
    assert settings.warnings == (f"RTCLI_CONFIG names {missing}, which does not exist",)


def test_a_name_no_setting_has_is_refused_with_the_nearest() -> None:
    assert setting_named("audio.input").field == "audio_input"
    with pytest.raises(UsageError, match=r"no setting audio\.inputt \(the nearest is audio\.input\)"):
        setting_named("audio.inputt")
    with pytest.raises(KeyError):
        Settings().origin("modle")


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        f'headers.Authorization = "Bearer {KEY}"',
        f'proxy = "http://u:{KEY}@proxy.example"',
        f'ice_servers = ["turn:u:{KEY}@turn.example"]',
        f'api_key = "{KEY}"',
        f'model = "{KEY}"',
        f'[profiles.other.deep]\nx = [["{KEY}"]]',
        'headers.X = "ek_68af296e8e408191a1120ab6383263c2"',
    ],
)
def test_a_key_in_the_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    message = refusal(text, folder=tmp_path)
    assert "holds an API key in the clear" in message
    assert "ek_68af" not in message


@pytest.mark.parametrize(
    "flags",
    [
        {"headers": [f"Authorization: Bearer {KEY}"]},
        {"proxy": f"http://u:{KEY}@proxy.example"},
        {"ice_servers": [f"turn:u:{KEY}@turn.example"]},
        {"connect_timeout": KEY},
        {"base_url": f"https://x.example/{KEY}"},
    ],
)
def test_a_key_on_the_command_line_is_refused_without_showing_it(tmp_path: Path, flags: dict[str, object]) -> None:
    assert "holds an API key in the clear" in refusal(folder=tmp_path, flags=flags)


def test_names_that_merely_resemble_keys_are_let_through(tmp_path: Path) -> None:
    text = 'instructions = "Ask-nothing-about-sk-learn-and-its-many-models; risk-adjusted-returns-2026-are-fine"'
    assert resolved(text, folder=tmp_path).instructions is not None


def test_secrets_written_as_they_are_are_masked_and_warned_of(tmp_path: Path) -> None:
    text = """
        proxy = "http://me:hunter2@proxy.example:80"
        ice_servers = ["turn:me:hunter2@t.example"]
        [headers]
        authorization = "Basic hunter2"
        X-Any = "hunter2"
    """
    settings = resolved(text, folder=tmp_path)
    assert "hunter2" not in repr(settings)
    in_variables = {"RTCLI_PROXY": "http://me:hunter2@p", "RTCLI_HEADERS": "Authorization: hunter2"}
    assert resolved(folder=tmp_path, environ=in_variables).warnings == ()
    assert settings.warnings == (
        "headers.authorization holds a secret in the clear; env:NAME keeps it out",
        "proxy holds a secret in the clear; env:NAME keeps it out",
        "ice_servers holds a secret in the clear; env:NAME keeps it out",
    )


def test_reading_settings_loads_nothing_heavy() -> None:
    probe = (
        "import sys; from pathlib import Path; from rtcli import keys, settings;"
        "settings.resolve({}, environ={}, config_file=Path('none.toml'));"
        "heavy = {'keyring', 'tomlkit', 'platformdirs', 'asyncio', 'httpx', 'typer', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
