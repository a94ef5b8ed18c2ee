"""What an examination of a source says of one thing: well, not well, or not to be told; and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Remark:
    """One answer. `ok` None: it can't be told."""

    about: str
    ok: bool | None
    says: str
    mend: str = ""


class Release(NamedTuple):
    """A program's release, by its first two numbers."""

    major: int
    minor: int

    def spelled(self, digits: int) -> str:
        """As its makers write it, the second number in at least so many digits."""
        return f"{self.major}.{self.minor:0{digits}}"


@dataclass(frozen=True, slots=True)
class KnownReleases:
    """Which releases of a program are `known`, and in what way: `whose outputs were tried`."""

    program: str
    oldest: Release
    newest: Release
    known: str
    digits: int = 1

    def remark(self, source: str, version: str, found: Release | None, ask: str) -> Remark:
        """What is to be said of a version, of which `found` was read; `ask` says where to look where nothing was."""
        about = f"{source} version"
        if found is None:
            return Remark(about, None, f"{self.program} {version or 'unknown'}", ask)
        if self.oldest <= found <= self.newest:
            return Remark(about, True, f"{self.program} {version}")
        where = "older" if found < self.oldest else "newer"
        span = f"{self.oldest.spelled(self.digits)} to {self.newest.spelled(self.digits)}"
        says = f"{self.program} {version}: {where} than any {self.known} ({span})"
        return Remark(about, None, says, "try it with --read-only and `plan` first")
