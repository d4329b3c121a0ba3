"""A job: the command's words, run in this process on this program's arrays."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Mapping, Optional, Union

from . import _native
from ._error import in_python, refusal
from ._inputs import Inputs, Path, path_of, text_of

Progress = Union[bool, Callable[[str, int, int], object], None]


_FLAGS = ("dry_run", "force", "json", "keep_strength", "quiet")  # which take no value


def words(**options: Any) -> list[str]:
    """Keyword arguments as the command's options; None is left out, a list is said item by item."""
    said: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue
        if name in _FLAGS:
            said += [flag] if value else []
        elif isinstance(value, (list, tuple)):
            said += [f"{flag}={one}" for one in value]
        else:
            said.append(f"{flag}={value}")
    return said


_IN_MEMORY = ".regauge-output"  # what messages call an output that is handed back


def output(out: Optional[Path] = None) -> tuple[list[str], str]:
    """The option that says where an output goes, and ``run``'s memory_output: all of it where there is no ``out``."""
    if out is None:
        return [f"--output={_IN_MEMORY}"], _IN_MEMORY
    return [f"--output={path_of(out, 'out')}"], ""


def listed(values: Any, where: str) -> list[Any]:
    """A list that was given as one; a single name is not one of letters. Raises Error(usage)."""
    if isinstance(values, str):
        return [values]
    if values is None:
        return []
    if not isinstance(values, Iterable) or isinstance(values, Mapping):
        raise refusal("usage", where, f"expected a list, and found {type(values).__name__}")
    return list(values)


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
        named = list(places)
        said = [text_of(word, command) for word in (command, *options, "--", *named)]
        with in_python(command, *named):
            return _native.run(said, inputs.mounts, memory_output, callback)
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


class Files(dict):
    """Contents of files by name; shown as names and sizes."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {len(content)} bytes' for name, content in self.items())}}}"


def report(answer: _native.Answer) -> Report:
    return json.loads(answer.out, object_hook=Report)
