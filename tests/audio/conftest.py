"""Hypothesis without a deadline: a slow example on a busy machine is no wrong one. And the helpers beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings


settings.register_profile("audio", deadline=None)
settings.load_profile("audio")

# Tests are no package here (import mode importlib), so a helper is found only when its folder is on the path.
sys.path.insert(0, str(Path(__file__).parent))
