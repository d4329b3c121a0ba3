"""`python -m regauge ...`: the command, where the wheel's own `regauge` is not on PATH."""

import sys

from . import _native


def main() -> int:
    def put(stream):
        def write(text: str) -> None:
            stream.write(text)
            stream.flush()

        return write

    try:
        return _native.run_program(sys.argv[1:], put(sys.stdout), put(sys.stderr), sys.stderr.isatty())
    except KeyboardInterrupt:
        return 130  # as a shell says of what SIGINT ended


if __name__ == "__main__":
    sys.exit(main())
