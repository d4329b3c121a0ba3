"""Files that are written whole or not at all."""

from __future__ import annotations

import os

from ._error import refusal
from ._inputs import Path


def write_whole(path: Path, content: bytes, *, force: bool) -> None:
    """Raises Error: outputExists, writeFailed."""
    name = os.fspath(path)
    if os.path.lexists(name) and not force:
        raise refusal("outputExists", name, "exists already; force=True overwrites it, or choose another name")
    folder, base = os.path.split(name)
    staged = os.path.join(folder, f".{base}.regauge-{os.getpid()}")
    try:
        with open(staged, "wb") as file:
            file.write(content)
        os.replace(staged, name)
    except OSError as error:
        if os.path.exists(staged):
            os.remove(staged)
        raise refusal("writeFailed", name, f"cannot be written: {error.strerror}; nothing was written") from None
