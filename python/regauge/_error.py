"""The one exception of the package, and the core's words in it."""

from __future__ import annotations

import contextlib
import re
from typing import Iterator, Mapping

__all__ = ["Error"]


class Error(Exception):
    """What regauge refuses: a code, a place, and a sentence that says what was expected, what was found and what to do.

    ``code`` is one of ``regauge.error_codes`` ("missingFile", "dimensionMismatch", ...), the same as in C++ and
    JavaScript. ``where`` is a file, a tensor in it, an argument, or "".
    """

    code: str
    where: str

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.where = where

    def __reduce__(self):
        return (Error, (self.code, self.where, str(self)))


def refusal(code: str, where: str, sentence: str) -> Error:
    return Error(code, where, f"{where}: {sentence}" if where else sentence)


# The core speaks to people at a shell: here its command lines are calls, and its flags keyword arguments.

# Whole command lines and what they stand for, tried in this order.
_LINES = [
    (re.compile(line), instead)
    for line, instead in (
        (r"; see 'regauge[^']*--help'", ""),
        (r"'?(?:regauge )?align --hidden'?", "align(source, target, hidden=True)"),
        (r"'?regauge align SOURCE TARGET -o gauge\.json'?", "align(source, target)"),
        (
            r"regauge map SOURCE TARGET --site ([^\s=]+)=T(?: --site \.\.\.)?",
            r'fit_map(source, target, sites=[("\1", "T"), ...])',
        ),
        (r"'regauge map(?: SOURCE TARGET -o map\.safetensors)?'", "fit_map(source, target)"),
        (r"--site ([^\s=]+)=(\S+) when fitting", r'sites=[("\1", "\2")] when fitting'),
        (r"--family orthogonal, affine or auto", 'family="orthogonal", "affine" or "auto"'),
        (r"transport --dequantize", "transport with --dequantize"),
        (r"choose sites (of one width )?with --site", r"choose sites \1(sites=[...])"),
        (r"one --site", "one site (--site)"),
        (r"move it with --gauge", "move it with regauge.transport(object, gauge)"),
    )
]
# Keyword arguments by flag, where they are not called as the flag is; "": of every call.
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "": {"unknown": "copy_unknown", "o": "out", "output": "out"},
    "align": {"site": "sites"},
    "trace": {"site": "sites"},
    "map": {"site": "sites"},
    "steer": {"tokens": "prompt"},
}
# Flags that take no value here, or whose value is True here.
_SWITCHES = {"force", "unknown", "keep-strength", "dry-run", "hidden"}
# Flags that are arguments of calls; any other is left as it stands.
_FLAGS = """base base-gauge d dequantize dry-run family force gains gauge gauges group hidden k keep-strength kind
    length noise output promoted ridge row rows seed sequences site skip-first statistic steps strength temperature
    threads tokens tolerance unknown vector weight""".split()
_NAMES = "|".join(sorted(_FLAGS, key=len, reverse=True))
# Words that follow a flag in a sentence and are not its value.
_PROSE = "a and does is of or to when where which with would"
_FLAG = re.compile(
    rf"(?<![^\s(';])(?:--(?P<long>{_NAMES})|-(?P<short>o)(?: (?:FILE|OUT)\b)?)(?![\w-])"
    rf"(?: (?P<value>(?!(?:{_PROSE.replace(' ', '|')})\b)[A-Za-z0-9][\w.=-]*))?"
)
_ARGUMENT = re.compile(rf"--({_NAMES})(?: (.*))?", re.DOTALL)


def _keyword(flag: str, call: str) -> str:
    return _RENAMED.get(call, {}).get(flag) or _RENAMED[""].get(flag) or flag.replace("-", "_")


def _given(name: str, value: str) -> str:
    """A keyword argument with its value."""
    if name == "sites" and value.count("=") == 1:
        value = '("{}", "{}")'.format(*value.split("="))
    elif value != "N" and not value[:1].isdigit():
        value = f'"{value}"'
    return f"{name}=[{value}]" if name == "sites" else f"{name}={value}"


def _in_keywords(text: str, call: str) -> str:
    """The text with calls in place of command lines; where no call is like one (of statistics), it stays as it is."""
    for line, instead in _LINES:
        text = line.sub(instead, text)
    if re.search(r"regauge (?:align|map|stats)\b", text):
        return text

    def said(match: re.Match[str]) -> str:
        flag, value = match["long"] or match["short"], match["value"]
        name = _keyword(flag, call)
        if flag in _SWITCHES:
            return f"{name}=True" + ("" if value in (None, "copy") else f" {value}")
        return name if value is None else _given(name, value)

    return _FLAG.sub(said, text)


@contextlib.contextmanager
def in_python(call: str, *own: str) -> Iterator[None]:
    """What the core refuses within is said in keyword arguments. own: the caller's names, which stay as they are."""
    try:
        yield
    except Error as error:
        where, message = error.where, str(error)
        sentence = message[len(where) :] if message.startswith(where) else message
        place = message[: len(message) - len(sentence)]
        argument = None if any(where.startswith(name) for name in own) else _ARGUMENT.fullmatch(where)
        if argument:
            where = _keyword(argument[1], call)
            place = where if argument[2] is None else _given(where, argument[2])
        raise Error(error.code, where, place + _in_keywords(sentence, call)) from None
