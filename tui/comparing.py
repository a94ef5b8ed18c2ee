"""Gathers what drift is told from: versions out of telemetry, a month of the journal. What fails outside becomes a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.drift import Aspect, DriftCell, Matrix, Versions, matrix_of
from fleet.errors import FleetError
from fleet.node import NodeKey
from fleet.offenders import SPAN, Offences, Trail, offences_of, offenders, trail_of
from fleet.row import FleetRow
from fleet.selection import Selection
from fleet.selection_match import Term, Value
from tui.deck import Deck

_NAMED = 40
"""Up to so many nodes are filtered by their names, where no field tells them apart."""

_FIELDS = {
    Aspect.IMAGE: "image",
    Aspect.DRIVER: "driver",
    Aspect.CUDA: "cuda",
    Aspect.KERNEL: "kernel",
    Aspect.OS: "os",
    Aspect.AGENT: "agent",
    Aspect.RUNTIME: "runtime",
    Aspect.GPUS: "gpus",
    Aspect.MODEL: "product",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What was read to compare by. `silent` names what could not be read, and why."""

    versions: Mapping[NodeKey, Versions] = field(default_factory=dict)
    trail: Trail = field(default_factory=lambda: Trail({}))
    silent: tuple[str, ...] = ()


async def read_told(deck: Deck) -> Told:
    """Telemetry's versions and the journal's month, read now."""
    silent: list[str] = []
    versions: Mapping[NodeKey, Versions] = {}
    if deck.versions is None:
        silent.append("VBIOS: no telemetry source is configured")
    else:
        try:
            versions = await deck.versions()
        except FleetError as error:
            silent.append(f"versions of GPUs: {error}")
    trail, why = await read_trail(deck)
    silent += [*([why] if why else []), *_of_slurm(deck)]
    return Told(versions, trail, tuple(silent))


async def read_trail(deck: Deck) -> tuple[Trail, str]:
    """What the journal counts of a month, or why it can't be read."""
    try:
        return trail_of(await deck.journal.since(deck.clock.now() - SPAN)), ""
    except FleetError as error:
        return Trail({}), f"journal: {error}"


def _of_slurm(deck: Deck) -> Iterable[str]:
    """Nodes do not tell the hash of their slurm.conf; that of this machine is all that can be compared."""
    for state in deck.store.feed_states():
        if "slurm.conf" in state.why:
            yield f"{state.source}: {state.why}"


def compare(deck: Deck, told: Told, rows: Iterable[FleetRow] | None = None) -> Matrix:
    """The matrix of these rows, or of the whole fleet."""
    return matrix_of(deck.store.rows() if rows is None else rows, deck.policy, told.versions)


def count(deck: Deck, told: Told, rows: Iterable[FleetRow] | None = None) -> tuple[Offences, ...]:
    """The repeat offenders among these rows, or of the whole fleet."""
    found = deck.store.rows() if rows is None else rows
    return offenders(found, told.trail, deck.sightings, deck.clock.now())


def record_of(deck: Deck, trail: Trail, node: NodeKey) -> str:
    """`3 failed gates, 2 drains in 30 days`; empty where there is nothing to tell."""
    row = deck.store.record(node)
    says = offences_of(row, trail, deck.sightings, deck.clock.now()).says if row is not None else ""
    return f"{says} in {SPAN.days} days" if says else ""


def selection_of(deck: Deck, category: str, cell: DriftCell, values: Sequence[str]) -> Selection | None:
    """A filter for the nodes of a cell that have one of these values: by field, else by name; None where neither serves."""
    wanted = frozenset(node for share in cell.shares if share.value in values for node in share.nodes)
    field_name = _FIELDS.get(cell.aspect)
    if field_name is not None and wanted:
        terms = (_term("category", [category]), _term(field_name, values))
        found = Selection(terms)
        if frozenset(row.key for row in deck.store.rows() if found.matches(row)) == wanted:
            return found
    if 0 < len(wanted) <= _NAMED and len({node.name for node in wanted}) == len(wanted):
        return Selection((_term("name", sorted(node.name for node in wanted)),))
    return None


def _term(name: str, values: Sequence[str]) -> Term:
    """A term that means exactly these texts; an empty one is none, which only an unquoted word says."""
    unknown = "unknown" if name == "gpus" else "none"
    plain = name == "gpus"
    return Term(
        name, "=", tuple(Value(value, quoted=not plain) if value else Value(unknown) for value in values)
    )
