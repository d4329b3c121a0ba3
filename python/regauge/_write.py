"""Files that are written whole or not at all."""

from __future__ import annotations

import os

from . import _native
from ._error import in_python, refusal
from ._inputs import Path, path_of


def write_whole(path: Path, content: bytes, *, force: bool) -> None:
    """As the command writes its outputs. Raises Error: outputExists, writeFailed, usage (no path)."""
    name = path_of(path, "path")
    if os.path.lexists(name) and not force:
        raise refusal("outputExists", name, "exists already; force=True overwrites it, or choose another name")
    with in_python("gauge", name):
        _native.write_file(name, content, force)
