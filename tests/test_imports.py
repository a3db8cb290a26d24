"""The house's laws about imports: the contracts hold, and the lazy part is lazy in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parent.parent
SERVERS = ("starlette", "uvicorn", "websockets")
HEAVY = ("aiortc", "aioice", "av", "numpy", "sounddevice", "httpx", "keyring", "onnxruntime", *SERVERS)
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "rtcli" / "commands").glob("*.py")
    if f"import {path.stem}" in (ROOT / "rtcli" / "cli.py").read_text(encoding="utf-8")
    or f"commands.{path.stem} " in (ROOT / "rtcli" / "cli.py").read_text(encoding="utf-8")
)
OWNERS: dict[str, str | tuple[str, ...]] = {
    "aiortc": "rtcli/transport/webrtc",
    "aioice": "rtcli/transport/webrtc",
    "httpx": "rtcli/transport/http",
    "sounddevice": "rtcli/audio/portaudio",
    "keyring": "rtcli/keys",
    "prompt_toolkit": "rtcli/terminal/prompt",
    "starlette": ("rtcli/asgi/", "rtcli/sandbox/", "rtcli/server/"),
    "uvicorn": "rtcli/asgi/serving",
    "onnxruntime": "rtcli/sandbox/engine/",
    "moonshine_voice": "rtcli/sandbox/engine/",
    "hibari": "rtcli/sandbox/engine/",
    "tomlkit": "rtcli/commands/config",
    "pywebrtc_audio": "rtcli/audio/echo",
    "websockets": "rtcli/transport/sideband",
}


def loaded_after(*argv: str, env: dict[str, str] | None = None) -> set[str]:
    """Top-level modules in a fresh interpreter after a run of the command line."""
    program = (
        "import sys, json, atexit\n"
        "sys.argv = ['rtcli', *json.loads(sys.argv[1])]\n"
        "from rtcli.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(argv)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("argv", [("--help",), ("--version",), *((command, "--help") for command in COMMANDS)])
def test_help_and_version_load_nothing_heavy(argv: tuple[str, ...]) -> None:
    assert loaded_after(*argv).isdisjoint(HEAVY)


def test_completion_loads_nothing_heavy() -> None:
    env = {"_RTCLI_COMPLETE": "complete_bash", "COMP_WORDS": "rtcli talk --", "COMP_CWORD": "2"}
    assert loaded_after(env=env).isdisjoint(HEAVY)


def test_a_call_does_load_what_it_needs() -> None:
    """The deferral fires where it must."""
    assert {"aiortc", "av"} <= loaded_after("talk", "--sandbox", "--text", "--input", "none", "--output", "none")


@pytest.mark.parametrize(
    ("argv", "light"),
    [
        (("token",), ("aiortc", "aioice", "av", "numpy", "sounddevice")),
        (("send", "hi"), ("pydantic", "numpy", "sounddevice", "onnxruntime", *SERVERS)),
        (("send", "--dry-run", "hi"), HEAVY),
        (("send", "--check", "hi"), HEAVY),
    ],
)
def test_a_script_loads_what_it_needs_and_no_more(argv: tuple[str, ...], light: tuple[str, ...]) -> None:
    from tests.services import OpenAi

    command, *rest = argv
    with OpenAi() as service:
        env = {"RTCLI_API_KEY": "sk-test", "RTCLI_CONFIG": os.devnull, "RTCLI_BASE_URL": f"{service.url}/v1"}
        assert loaded_after(command, *rest, env=env).isdisjoint(light)
    assert bool(service.asked) is (len(rest) < 2)


@pytest.mark.parametrize("library", OWNERS)
def test_each_heavy_library_has_one_place(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rtcli").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith((f"import {library}", f"from {library}"))
    }
    assert {user for user in users if not user.startswith(OWNERS[library])} == set()


def test_the_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
