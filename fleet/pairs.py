"""Keeps which nodes of two sources are one machine, one node's change at a time.

Evidence may stand on either side, and come in any order. A pair is two nodes that name each other and nobody else; where a
third one is named, none of them is believed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet.machine import JoinRule
from fleet.node import Node, NodeKey
from fleet.workload import NodeWork


class Pairs:
    """Who names whom, by the rules."""

    def __init__(self, rules: Sequence[JoinRule]) -> None:
        self._rules = tuple(rules)
        self._claims: dict[NodeKey, frozenset[NodeKey]] = {}
        self._claimed: dict[NodeKey, set[NodeKey]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def put(self, node: Node, work: NodeWork | None) -> Collection[NodeKey]:
        """Take in a node as it is now. Gives every node whose pair may be another, or shows another twin."""
        claims = frozenset().union(*(rule.claims(node, work) for rule in self._rules))
        return self._replace(node.key, claims)

    def drop(self, key: NodeKey) -> Collection[NodeKey]:
        """Forget a node that is gone."""
        return self._replace(key, frozenset())

    def partners(self, key: NodeKey) -> set[NodeKey]:
        """Whom a node names, and who names it, whether they are there or not."""
        return {*self._claims.get(key, ()), *self._claimed.get(key, ())}

    def rule_of(self, one: NodeKey, other: NodeKey) -> JoinRule | None:
        """The rule that ties two sources."""
        sources = {one.source, other.source}
        return next((rule for rule in self._rules if {rule.kubernetes, rule.slurm} == sources), None)

    def _replace(self, key: NodeKey, claims: frozenset[NodeKey]) -> Collection[NodeKey]:
        touched = self._near(key)
        old = self._claims.get(key, frozenset())
        if claims != old:
            for gone in old - claims:
                self._claimed[gone].discard(key)
                if not self._claimed[gone]:
                    del self._claimed[gone]
            for new in claims - old:
                self._claimed.setdefault(new, set()).add(key)
            if claims:
                self._claims[key] = claims
            else:
                self._claims.pop(key, None)
            touched |= self._near(key)
        return touched

    def _near(self, key: NodeKey) -> set[NodeKey]:
        partners = self.partners(key)
        return {key, *partners}.union(*(self.partners(partner) for partner in partners))
