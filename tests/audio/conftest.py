"""Hypothesis without a deadline: the machine that runs these may be busy, and a slow example is no wrong one."""

from __future__ import annotations

from hypothesis import settings


settings.register_profile("audio", deadline=None)
settings.load_profile("audio")
