"""A job: the command's words, run in this process on this program's arrays."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Optional, Union

from . import _native
from ._inputs import Inputs

Progress = Union[bool, Callable[[str, int, int], object], None]


def words(**options: Any) -> list[str]:
    """Keyword arguments as the command's options; None and False are left out, a list is said item by item."""
    said: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            said.append(flag)
        elif isinstance(value, (list, tuple)):
            said += [f"{flag}={one}" for one in value]
        else:
            said.append(f"{flag}={value}")
    return said


class _Bar:
    """tqdm's bar: in a notebook, or on a terminal."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self._new = tqdm
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._bar is None or self._bar.desc != f"{stage}: " or self._bar.total != total:
            self.close()
            self._bar = self._new(total=total, desc=stage, leave=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def run(
    command: str,
    options: Iterable[str],
    places: Iterable[str],
    inputs: Inputs,
    progress: Progress = None,
    memory_output: str = "",
) -> _native.Answer:
    """``regauge command options -- places``; raises Error where it is refused, KeyboardInterrupt on Ctrl-C."""
    bar: Optional[_Bar] = _Bar() if progress is True else None
    callback = bar if bar is not None else progress or None
    try:
        return _native.run([command, *options, "--", *places], inputs.mounts, memory_output, callback)
    finally:
        if bar is not None:
            bar.close()


class Report(dict):
    """The object that the command prints with --json; its keys are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the report has no {name!r}; it has {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def report(answer: _native.Answer) -> Report:
    return json.loads(answer.out, object_hook=Report)
