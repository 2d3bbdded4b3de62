"""The errors of vidops, from the one a user sees to the two that steer retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class VidopsError(Exception):
    """Base of every error that vidops raises on purpose. `str()` is fit to show to a person."""


class TemporaryError(VidopsError):
    """Something may work later without a new spec: the reconciler retries with backoff.

    `delay`: seconds to wait before the next try; None leaves it to the backoff.
    """

    def __init__(self, message: str, *, reason: str = "Error", delay: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.delay = delay


class PermanentError(VidopsError):
    """Nothing will help but a new spec: the reconciler waits for one."""

    def __init__(self, message: str, *, reason: str = "Invalid") -> None:
        super().__init__(message)
        self.reason = reason


class AlreadyRunningError(VidopsError):
    """Another vidops holds the runtime directory. The message says whose and where."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source file: 1-based line and column."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a stack file.

    `path` is the place in the document (`gateways.public.routes[2].path`, empty for the whole file),
    `hint` says what would be right (nearest key, allowed values); empty when nothing is known. `plugin`: what is
    missing may be what a plugin that did not load would have registered.
    """

    mark: Mark
    path: str
    message: str
    hint: str = ""
    plugin: bool = False

    def __str__(self) -> str:
        where = f"{self.mark}: {self.path}: " if self.path else f"{self.mark}: "
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class StackError(VidopsError):
    """A stack file cannot be used. Carries every problem found, in file order.

    `files`: what was read or tried, the stack file first: what a watcher has to look at until it can be used.
    """

    def __init__(self, problems: Sequence[Problem], files: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.files = tuple(files)
        super().__init__("\n".join(str(p) for p in self.problems))
