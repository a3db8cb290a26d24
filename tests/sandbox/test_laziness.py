"""What the parts of the sandbox load, each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_the_dialogue_has_no_loop_clock_log_or_library() -> None:
    heavy = {"asyncio", "threading", "socket", "logging", "starlette", "uvicorn", "aiortc", "av", "numpy", "httpx"}
    assert loaded_by("rtcli.sandbox.dialogue") & heavy == set()


@pytest.mark.parametrize("module", ["rtcli.sandbox.call", "rtcli.sandbox.service"])
def test_a_call_knows_its_peer_by_interface_alone(module: str) -> None:
    assert (
        loaded_by(module) & {"starlette", "uvicorn", "aiortc", "aioice", "av", "numpy", "httpx", "onnxruntime"} == set()
    )


def test_the_server_brings_starlette_and_uvicorn() -> None:
    """The opposite: what is kept away above is loaded where it is needed."""
    assert {"starlette", "uvicorn"} <= loaded_by("rtcli.sandbox.serving")
