"""Why a command can't be done now, in words for the operator; None where it can. One function a command that has reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.category import RECREATE
from tui.command import Standing

if TYPE_CHECKING:
    from fleet.policy import Policy
    from fleet.row import FleetRow


def verb(at: Standing) -> str | None:
    if not at.targets:
        return "no node is under the cursor or marked"
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    if at.last_known:
        return f"the nodes of {at.last_known} are only last known: wait until it answers"
    return f"operation {at.busy} works on it: o shows it" if at.busy else None


def gate(at: Standing) -> str | None:
    if at.last_known:
        return f"the nodes of {at.last_known} are only last known: wait until it answers"
    return "no node is under the cursor or marked" if not at.targets else None


def one_node(at: Standing) -> str | None:
    return "no node is under the cursor or marked" if not at.targets else None


def has_imager(row: FleetRow, policy: Policy) -> bool:
    """Whether anything could put an image on the node."""
    imager = policy.category(row.node.category).imager
    return row.node.replaceable if imager in ("", RECREATE) else True


def reimage(at: Standing) -> str | None:
    why = verb(at)
    if why is None and not any(has_imager(row, at.policy) for row in at.targets):
        node = at.targets[0].node
        category = node.category or "none"
        imager = at.policy.category(node.category).imager
        if imager == RECREATE:
            return "the imager recreate serves KWOK and simulated nodes only"
        return f"its category ({category}) has no imager: name one in the configuration"
    return why


def retire(at: Standing) -> str | None:
    why = verb(at)
    if why is None and at.targets and all(row.node.owner for row in at.targets):
        return f"{at.targets[0].node.owner} owns it: retire it through its owner"
    return why


def provision(at: Standing) -> str | None:
    if not at.provisions:
        return "only a simulated or KWOK fleet can be given new nodes"
    return "this session is read-only: nothing can be changed" if at.read_only else None


def drill(at: Standing) -> str | None:
    """A drill makes a node and a namespace of its own."""
    if at.read_only:
        return "this session is read-only, and a drill makes a node of its own"
    return None if at.drills else "there is no ground for a drill here"


def drilling(at: Standing) -> str | None:
    """Only a drill has steps to do."""
    return None if at.drilling else "no drill is under way"


def fault(at: Standing) -> str | None:
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    if not at.simulated:
        return "faults can be made on a simulated fleet only"
    return None if at.targets else "no node is under the cursor or marked"


def undo(at: Standing) -> str | None:
    why = verb(at)
    if why is not None:
        return why
    ours = [row for row in at.targets if any(hold.kind.value == "ours" for hold in row.holds)]
    if ours:
        return None
    if any(row.holds for row in at.targets):
        return "we did not close it: u shows who did"
    return "there is nothing of ours to undo on it"


def chosen(at: Standing) -> str | None:
    return None if at.chosen else "there is no operation here"


def resume(at: Standing) -> str | None:
    if not at.chosen:
        return "there is no operation here"
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    if at.chosen_state not in ("interrupted", "failed"):
        return f"it is {at.chosen_state}: there is nothing to resume"
    return None


def cancel(at: Standing) -> str | None:
    if not at.chosen:
        return "there is no operation here"
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    if at.chosen_state in ("running", "interrupted"):
        return None
    return f"it is {at.chosen_state}: there is nothing to cancel"


def options(at: Standing) -> str | None:
    return None if at.options else "this verb has no options"


def leave_out(at: Standing) -> str | None:
    if not at.blocked:
        return "nothing is blocked"
    return None if at.plannable else "no node would be left"
