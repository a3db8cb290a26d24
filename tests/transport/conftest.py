"""A certificate for 127.0.0.1."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import self_signed


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Paths of a self-signed certificate and its key, both PEM."""
    return self_signed(x509.IPAddress(IPv4Address("127.0.0.1")), tmp_path)
