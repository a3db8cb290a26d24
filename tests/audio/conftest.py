"""Hypothesis without a deadline: a slow example on a busy machine is no wrong one."""

from __future__ import annotations

from hypothesis import settings


settings.register_profile("audio", deadline=None)
settings.load_profile("audio")
