"""What a selection is while its last term is still being typed: not yet what is meant, and no reason to show an empty fleet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fleet.row import FleetRow
from fleet.selection import Selection
from fleet.selection_fields import ALIASES, FIELDS, ListField, TextField
from fleet.selection_match import Value


def fields_begun(selection: Selection, text: str) -> tuple[str, ...]:
    """The fields that the last word of `text` may still become, by how they or a part of them begin (`temp`: gpu_temp).

    Such a word is on its way to `image=v2`, and not yet one to look for. Empty where it is no bare word, or is finished.
    """
    if not selection or text[-1:].isspace():
        return ()
    last = selection.terms[-1]
    word = last.values[0]
    if last.field or word.quoted:
        return ()
    typed = word.text.lower()
    named = (name for name in (*FIELDS, *ALIASES) if name.startswith(typed) or f"_{typed}" in name)
    return tuple(dict.fromkeys(ALIASES.get(name, name) for name in named))


def gone_on(selection: Selection, text: str) -> Selection | None:
    """`selection` with the value that `text` ends in read as the beginning of a longer one.

    None where no longer one could be meant: a finished term, a quoted value, a glob, a number, `!=`.
    """
    if not selection or text[-1:].isspace():
        return None
    *before, last = selection.terms
    *others, value = last.values
    whole = isinstance(FIELDS.get(last.field), TextField | ListField)
    if not whole or last.operator != "=" or last.negated or value.quoted or value.globs:
        return None
    return Selection((*before, replace(last, values=(*others, Value(f"{value.text}*")))))


def unfinished(selection: Selection, longer: Selection, rows: Iterable[FleetRow]) -> bool:
    """Whether nobody fits `selection` yet, and somebody will once it has gone on to be `longer`."""
    found = False
    for row in rows:
        if selection.matches(row):
            return False
        found = found or longer.matches(row)
    return found
