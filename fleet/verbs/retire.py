"""Retire: drain, then remove the node from its orchestrator's truth."""

from __future__ import annotations

from fleet.node import Stage
from fleet.plan import NodePlan, Remove
from fleet.verbs.common import Question, block, found, general_blockers, held_warnings, number
from fleet.verbs.drain import close_and_move, moving_blockers, moving_warnings, waiting_warnings
from fleet.verbs.drain_filters import sort_placements


def plan_retire(question: Question) -> NodePlan:
    """Close, move the work, remove by uid. A node that something else owns is retired through its owner."""
    node = question.node
    sorting = sort_placements(question.facts.placements, question.request.options.drain)
    blockers = general_blockers(question) + moving_blockers(question, sorting)
    if node.owner:
        blockers.append(
            block(
                node.key, f"{node.owner} owns it and would bring it back", go_on="retire it through its owner"
            )
        )
    actions = [
        *close_and_move(question, Stage.RETIRING),
        (Remove(question.request.operation), f"remove {node.key.name} from {node.key.source}"),
    ]
    return NodePlan(
        node.key,
        steps=number(question, actions),
        blockers=tuple(blockers),
        warnings=held_warnings(question, "it is removed all the same")
        + moving_warnings(sorting.evict)
        + waiting_warnings(question, sorting),
        moves=tuple(sorting.evict),
        found=found(question.facts),
    )
