"""Pictures for tests."""

from __future__ import annotations

import random
import struct
import zlib


def noise(width: int, height: int) -> bytes:
    """A PNG that nothing can compress: three bytes a pixel."""
    rows = b"".join(b"\0" + random.Random(row).randbytes(3 * width) for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
