"""What an examination of a source says of one thing: well, not well, or not to be told; and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """One answer. `ok` None: it can't be told."""

    about: str
    ok: bool | None
    says: str
    mend: str = ""
