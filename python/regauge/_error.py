"""The one exception of the package."""

from __future__ import annotations

import re

__all__ = ["Error"]


class Error(Exception):
    """What regauge refuses: a code, a place, and a sentence that says what was expected, what was found and what to do.

    ``code`` is one of ``regauge.error_codes`` ("missingFile", "dimensionMismatch", ...), the same as in C++ and
    JavaScript. ``where`` is a file, a tensor in it, an argument, or "".
    """

    code: str
    where: str

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(_in_python(message))
        self.code = code
        self.where = where

    def __reduce__(self):
        return (Error, (self.code, self.where, str(self)))


def refusal(code: str, where: str, sentence: str) -> Error:
    return Error(code, where, f"{where}: {sentence}" if where else sentence)


# The core speaks to people at a shell; here its flags are keyword arguments.
_SEE_HELP = re.compile(r"; see 'regauge[^']*--help'")
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")
_OUT = re.compile(r"(?<![\w-])-o\b(?: (?:FILE|OUT)\b)?")
_WORDS = {
    "site": "sites",
    "unknown": "copy_unknown=True",
    "force": "force=True",
    "dry-run": "dry_run=True",
    "hidden": "hidden=True",
}
_ALIGN_HIDDEN = re.compile(r"'(?:regauge )?align --hidden'")
_ONE_SITE = "leave out --site"  # of transport, which takes one


def _in_python(message: str) -> str:
    def word(match: re.Match[str]) -> str:
        flag = match.group(1)
        return _WORDS.get(flag, flag.replace("-", "_"))

    text = _ALIGN_HIDDEN.sub("align(source, target, hidden=True)", _SEE_HELP.sub("", message))
    text = text.replace(_ONE_SITE, "leave out site").replace("--unknown copy", "--unknown")
    text = text.replace("--dequantize bf16", 'dequantize="bf16"')
    return _OUT.sub("out", _FLAG.sub(word, text))
