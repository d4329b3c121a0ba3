"""`python -m regauge ...`: the command, where the wheel's own `regauge` is not on PATH."""

import errno
import io
import os
import sys
from typing import Optional, TextIO

from . import _native


def _put(stream: Optional[TextIO], text: str) -> None:
    """Writes the text. A reader that went away (``regauge show g.json | head -1``) has what it wanted.

    Raises OSError.
    """
    if stream is None:  # closed before Python began
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # where Python's own end writes what is left
        if not isinstance(error, BrokenPipeError):
            raise


def main() -> int:
    failure = ""  # of standard output: what the core makes of an exception of this program is not said

    def out(text: str) -> None:
        nonlocal failure
        try:
            _put(sys.stdout, text)
        except OSError as error:
            failure = f"regauge: standard output: the answer could not be written: {error.strerror}\n"
            raise

    def err(text: str) -> None:
        try:
            _put(sys.stderr, failure or text)
        except OSError:
            pass  # as the native command: nobody is left to tell

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal's letters are not all of Unicode
    terminal = sys.stderr is not None and sys.stderr.isatty()
    try:
        return _native.run_program(sys.argv[1:], out, err, terminal)
    except KeyboardInterrupt:
        return 130  # as a shell says of what SIGINT ended


if __name__ == "__main__":
    sys.exit(main())
