"""One answer of doctor's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Examined:
    """`ok` None: it can't be told. `facts` is what a script would have of it, None where the words are all."""

    about: str
    ok: bool | None
    says: str
    mend: str = ""
    facts: Mapping[str, object] | None = None
