"""What doctor says of the join rules: how many machines each found, and what keeps it from finding more."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.machine import JoinRule
from fleet.remark import Remark
from tui.deck import Deck
from tui.headless.words import counted

_NAMED = 3


def of_joins(deck: Deck) -> Iterator[Remark]:
    """One answer a rule, and one more where several nodes claim one machine."""
    for rule in deck.policy.joins:
        about = f"join of {rule.kubernetes} and {rule.slurm}"
        missing = [source for source in (rule.kubernetes, rule.slurm) if source not in deck.sources]
        if missing:
            says = f"{', '.join(missing)} is not part of this fleet, so that nothing may be done to nodes of the other"
            yield Remark(about, False, says, f"open both; this fleet has {', '.join(deck.sources)}")
            continue
        yield _found(deck, rule, about)
        rivals = sorted(
            str(row.key)
            for row in deck.store.rows()
            if row.pair is not None and row.twin is None and row.key.source == rule.kubernetes
        )
        if rivals:
            more = " ..." if len(rivals) > _NAMED else ""
            says = f"several nodes claim one machine: {', '.join(rivals[:_NAMED])}{more}"
            yield Remark(about, False, says, "mend what names them, or the rule in [[join]]")


def _found(deck: Deck, rule: JoinRule, about: str) -> Remark:
    rows = [row for row in deck.store.rows() if row.key.source in (rule.kubernetes, rule.slurm)]
    machines = sum(row.twin is not None and row.key.source == rule.slurm for row in rows)
    alone = [row for row in rows if row.pair is None]
    ours = sum(row.key.source == rule.slurm for row in alone)
    says = f"{counted(machines, 'machine')} by {rule.by.value}; {ours} of Slurm and {len(alone) - ours} of Kubernetes alone"
    if machines or not rows:
        return Remark(about, True if machines else None, says)
    return Remark(about, False, says, "see docs/slurm.md: what must name the other side's node")
