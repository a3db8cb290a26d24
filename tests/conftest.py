"""What holds for every test: no deadline for an example, because a busy machine is no counterexample."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


settings.register_profile("rtcli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rtcli")
