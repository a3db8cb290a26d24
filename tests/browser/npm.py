"""The official JavaScript SDK, installed by npm into a cache outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest


PACKAGE = "@openai/agents-realtime@0.20"


def official_sdk() -> Path:
    """The folder of its browser bundle, or the reason why it is not tested."""
    root = Path(platformdirs.user_cache_dir("rtcli-tests")) / "npm-agents-realtime-0.20"
    bundle = root / "node_modules" / "@openai" / "agents-realtime" / "dist" / "bundle"
    if bundle.is_dir():
        return bundle
    npm = shutil.which("npm")
    said = "npm is not installed"
    if npm:
        root.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
            "--prefix",
            str(root),
        ]
        done = subprocess.run([*command, PACKAGE, "zod"], capture_output=True, text=True, check=False, timeout=100)
        if bundle.is_dir():
            return bundle
        said = f"npm did not install it: {done.stderr[-300:]}"
    message = f"NOT TESTED WITH THE OFFICIAL JAVASCRIPT SDK: {said}"
    if os.environ.get("RTCLI_REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)
