"""Every command, declared once: its binding, footer, palette entry, help line and key map id all come from here.

No Textual is loaded, so that the documentation's key table and its test are made from the same values. Commands that a
widget binds for itself (the table's moves) are declared with the widget's own binding id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from fleet.category import RECREATE
from fleet.verb import Verb

if TYPE_CHECKING:
    from fleet.policy import Policy
    from fleet.row import FleetRow


class Danger(Enum):
    """How hard a command is to take back, and so how it is confirmed."""

    NONE = "none"
    REVERSIBLE = "reversible"  # confirmed with a key
    TYPED = "typed"  # confirmed by typing the node's name, or the count


class Place(Enum):
    """The screen a command belongs to. EVERYWHERE is bound by the application."""

    EVERYWHERE = "everywhere"
    FLEET = "fleet"
    FILTER = "filter"
    NODE = "node"
    OPERATIONS = "operations"
    OPERATION = "operation"
    CONFIRM = "confirm"
    READING = "reading"  # audit and help: long texts to scroll


class Kind(Enum):
    """The headings of the help, in its order."""

    VERBS = "Verbs, on the marked nodes or the one under the cursor"
    LOOKING = "Looking"
    MARKING = "Moving and marking"
    OPERATIONS = "Operations"
    CONFIRMING = "Confirming"
    PROGRAM = "The program"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a command is judged against: the nodes it would act on, and what this session may do.

    `targets` are the marked nodes, else those under the cursor. `busy` names our operation that works on one of them.
    """

    policy: Policy
    targets: tuple[FleetRow, ...] = ()
    read_only: bool = False
    busy: str = ""
    simulated: bool = False
    provisions: bool = False
    chosen: str = ""  # what a list has under its cursor, empty for nothing
    chosen_state: str = ""
    blocked: bool = False  # a plan on screen has blocked nodes
    plannable: bool = False  # and others that are not


WhyNot = Callable[[Standing], str | None]


def _always(at: Standing) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Command:
    """`keys` as Textual spells them, by comma. `footer`: 0 is not in the footer, else the lower goes first.

    `why_not` says why it can't be done now, None where it can: the key is then answered with the reason.
    """

    id: str
    keys: str
    label: str
    does: str
    place: Place
    kind: Kind
    danger: Danger = Danger.NONE
    why_not: WhyNot = _always
    footer: int = 0
    verb: Verb | None = None


def _verb(at: Standing) -> str | None:
    if not at.targets:
        return "no node is under the cursor or marked"
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    return f"operation {at.busy} works on it: o shows it" if at.busy else None


def _gate(at: Standing) -> str | None:
    return "no node is under the cursor or marked" if not at.targets else None


def has_imager(row: FleetRow, policy: Policy) -> bool:
    """Whether anything could put an image on the node."""
    imager = policy.category(row.node.category).imager
    return row.node.replaceable if imager in ("", RECREATE) else True


def _reimage(at: Standing) -> str | None:
    why = _verb(at)
    if why is None and not any(has_imager(row, at.policy) for row in at.targets):
        node = at.targets[0].node
        category = node.category or "none"
        imager = at.policy.category(node.category).imager
        if imager == RECREATE:
            return "the imager recreate serves KWOK and simulated nodes only"
        return f"its category ({category}) has no imager: name one in the configuration"
    return why


def _retire(at: Standing) -> str | None:
    why = _verb(at)
    if why is None and at.targets and all(row.node.owner for row in at.targets):
        return f"{at.targets[0].node.owner} owns it: retire it through its owner"
    return why


def _provision(at: Standing) -> str | None:
    if not at.provisions:
        return "only a simulated or KWOK fleet can be given new nodes"
    return "this session is read-only: nothing can be changed" if at.read_only else None


def _fault(at: Standing) -> str | None:
    if not at.simulated:
        return "faults can be made on a simulated fleet only"
    return None if len(at.targets) == 1 else "choose one node"


def _undo(at: Standing) -> str | None:
    why = _verb(at)
    if why is not None:
        return why
    ours = [row for row in at.targets if any(hold.kind.value == "ours" for hold in row.node.holds)]
    if ours:
        return None
    if any(row.node.holds for row in at.targets):
        return "we did not close it: u shows who did"
    return "there is nothing of ours to undo on it"


def _chosen(at: Standing) -> str | None:
    return None if at.chosen else "there is no operation here"


def _resume(at: Standing) -> str | None:
    if not at.chosen:
        return "there is no operation here"
    if at.read_only:
        return "this session is read-only: nothing can be changed"
    if at.chosen_state not in ("interrupted", "failed"):
        return f"it is {at.chosen_state}: there is nothing to resume"
    return None


def _cancel(at: Standing) -> str | None:
    if not at.chosen:
        return "there is no operation here"
    return None if at.chosen_state == "running" else f"it is {at.chosen_state}: there is nothing to cancel"


def _leave_out(at: Standing) -> str | None:
    if not at.blocked:
        return "nothing is blocked"
    return None if at.plannable else "no node would be left"


_SAFE, _TYPED = Danger.REVERSIBLE, Danger.TYPED
_FLEET, _VERBS, _LOOK, _MARK, _PROGRAM = Place.FLEET, Kind.VERBS, Kind.LOOKING, Kind.MARKING, Kind.PROGRAM

GATE = Command(
    "verb.gate",
    "g",
    "Gate",
    "Run the category's checks; a closed node that passes is admitted, one that fails is quarantined.",
    _FLEET,
    _VERBS,
    _SAFE,
    _gate,
    1,
    Verb.GATE,
)
CORDON = Command(
    "verb.cordon",
    "c",
    "Cordon",
    "Stop new work landing on the node; what runs there goes on.",
    _FLEET,
    _VERBS,
    _SAFE,
    _verb,
    2,
    Verb.CORDON,
)
UNCORDON = Command(
    "verb.uncordon",
    "u",
    "Uncordon",
    "Lift our own hold, and open the node when nobody else's is left. Never goes round the gate.",
    _FLEET,
    _VERBS,
    _SAFE,
    _verb,
    3,
    Verb.UNCORDON,
)
DRAIN = Command(
    "verb.drain",
    "d",
    "Drain",
    "Cordon, then move the work away within the disruption budgets, until a deadline.",
    _FLEET,
    _VERBS,
    _SAFE,
    _verb,
    4,
    Verb.DRAIN,
)
REIMAGE = Command(
    "verb.reimage",
    "i",
    "Reimage",
    "Drain, put the desired image on, wait for the node's own word, gate, admit.",
    _FLEET,
    _VERBS,
    _TYPED,
    _reimage,
    5,
    Verb.REIMAGE,
)
RETIRE = Command(
    "verb.retire",
    "x",
    "Retire",
    "Drain, then remove the node from its orchestrator for good.",
    _FLEET,
    _VERBS,
    _TYPED,
    _retire,
    6,
    Verb.RETIRE,
)
UNDO = Command(
    "verb.undo",
    "z",
    "Undo",
    "Propose to lift what we closed here; evicted work does not come back.",
    _FLEET,
    _VERBS,
    _SAFE,
    _undo,
)
PROVISION = Command(
    "verb.provision",
    "p",
    "Provision",
    "Make a new node, behind the gate (simulated and KWOK fleets only).",
    _FLEET,
    _VERBS,
    _SAFE,
    _provision,
    0,
    Verb.PROVISION,
)

OPEN = Command(
    "table.open",
    "enter",
    "Detail",
    "Show all that is known of the node; fold a group.",
    _FLEET,
    _LOOK,
    footer=9,
)
FILTER = Command(
    "fleet.filter", "slash", "Filter", "Show only the nodes that match as you type.", _FLEET, _LOOK, footer=8
)
FILTER_LEAVE = Command(
    "filter.leave", "escape", "Clear the filter", "Leave the filter bar and show all.", Place.FILTER, _LOOK
)
FILTER_COMPLETE = Command(
    "filter.complete", "tab", "Complete", "Take the word that is offered.", Place.FILTER, _LOOK
)
SORT = Command("fleet.sort", "s", "Sort", "Choose the column to sort by.", _FLEET, _LOOK, footer=13)
REVERSE = Command("fleet.reverse", "S", "Reverse", "Turn the order round.", _FLEET, _LOOK)
WORST = Command(
    "fleet.worst", "w", "Worst", "Go to the next node that needs attention, worst first.", _FLEET, _LOOK
)
PANE = Command("fleet.pane", "tab", "Pane", "Go between the table and the node pane.", _FLEET, _LOOK)
FAULT = Command(
    "fleet.fault",
    "f",
    "Fault",
    "Break the node under the cursor, on a simulated fleet.",
    _FLEET,
    _LOOK,
    why_not=_fault,
)

UP = Command("table.up", "up,k", "Up", "One line up.", _FLEET, _MARK)
DOWN = Command("table.down", "down,j", "Down", "One line down.", _FLEET, _MARK)
PAGE_UP = Command("table.page-up", "pageup,ctrl+b", "Page up", "One page up.", _FLEET, _MARK)
PAGE_DOWN = Command("table.page-down", "pagedown,ctrl+f", "Page down", "One page down.", _FLEET, _MARK)
FIRST = Command("table.first", "home", "First", "To the first line.", _FLEET, _MARK)
LAST = Command("table.last", "end,G", "Last", "To the last line.", _FLEET, _MARK)
FOLD = Command("table.fold", "left,h", "Fold", "Fold the group, or go to the node's group.", _FLEET, _MARK)
UNFOLD = Command("table.unfold", "right,l", "Unfold", "Unfold the group.", _FLEET, _MARK)
MARK = Command("table.mark", "space", "Mark", "Mark the node, or all of the group.", _FLEET, _MARK, footer=12)
MARK_ALL = Command(
    "table.mark-all", "asterisk", "Mark all", "Mark every node that the filter shows.", _FLEET, _MARK
)
CLEAR = Command(
    "fleet.clear", "escape", "Clear", "Close the pane, then the filter, then the marks.", _FLEET, _MARK
)

OPERATIONS = Command(
    "fleet.operations",
    "o",
    "Operations",
    "What runs, what ended, what was interrupted.",
    _FLEET,
    Kind.OPERATIONS,
    footer=14,
)
AUDIT = Command(
    "fleet.audit", "a", "Audit", "Who did what, when, and what came of it.", _FLEET, Kind.OPERATIONS
)
OPERATIONS_UP = Command(
    "operations.up", "up,k", "Up", "The operation above.", Place.OPERATIONS, Kind.OPERATIONS
)
OPERATIONS_DOWN = Command(
    "operations.down", "down,j", "Down", "The operation below.", Place.OPERATIONS, Kind.OPERATIONS
)
SHOW_OPERATION = Command(
    "operations.open",
    "enter",
    "Detail",
    "Each node of the operation, step by step.",
    Place.OPERATIONS,
    Kind.OPERATIONS,
    why_not=_chosen,
    footer=1,
)
RESUME = Command(
    "operations.resume",
    "r",
    "Resume",
    "Go on with an operation that was interrupted, after its plan is shown.",
    Place.OPERATIONS,
    Kind.OPERATIONS,
    _SAFE,
    _resume,
    2,
)
CANCEL = Command(
    "operations.cancel",
    "c",
    "Cancel",
    "Stop an operation at the next safe point of each node.",
    Place.OPERATIONS,
    Kind.OPERATIONS,
    _SAFE,
    _cancel,
    3,
)
BACK = Command(
    "operations.back", "escape,q", "Back", "Back to the fleet.", Place.OPERATIONS, Kind.OPERATIONS, footer=9
)

RUN = Command(
    "confirm.run", "enter,y", "Run it", "Do what the plan says.", Place.CONFIRM, Kind.CONFIRMING, footer=1
)
LEAVE_OUT = Command(
    "confirm.leave-out",
    "ctrl+o",
    "Leave out blocked",
    "Go on with the nodes that nothing blocks.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    why_not=_leave_out,
    footer=3,
)
PLAN_UP = Command("confirm.up", "up", "Up", "Scroll the plan up.", Place.CONFIRM, Kind.CONFIRMING)
PLAN_DOWN = Command("confirm.down", "down", "Down", "Scroll the plan down.", Place.CONFIRM, Kind.CONFIRMING)
PLAN_PAGE_UP = Command(
    "confirm.page-up", "pageup", "Page up", "The plan a page up.", Place.CONFIRM, Kind.CONFIRMING
)
PLAN_PAGE_DOWN = Command(
    "confirm.page-down", "pagedown", "Page down", "The plan a page down.", Place.CONFIRM, Kind.CONFIRMING
)
RETRY = Command(
    "confirm.again",
    "ctrl+r",
    "Read again",
    "Read the ground again and plan anew.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    footer=4,
)
REFUSE = Command(
    "confirm.no",
    "escape",
    "Nothing done",
    "Leave without doing anything.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    footer=2,
)

OPERATION_BACK = Command(
    "operation.back",
    "escape,q",
    "Back",
    "Back to the operations.",
    Place.OPERATION,
    Kind.OPERATIONS,
    footer=9,
)
NODE_BACK = Command("node.back", "escape,q", "Back", "Back to the fleet.", Place.NODE, _LOOK, footer=9)
READ_BACK = Command(
    "reading.back", "escape,q", "Back", "Back to where you were.", Place.READING, _PROGRAM, footer=9
)

PALETTE = Command(
    "app.palette",
    "ctrl+p,colon",
    "Commands",
    "Find any command by its name.",
    Place.EVERYWHERE,
    _PROGRAM,
    footer=20,
)
THEME = Command(
    "app.theme", "t", "Theme", "The next theme: dark, light, colour-blind, ascii.", _FLEET, _PROGRAM
)
HELP = Command(
    "app.help", "question_mark", "Help", "Every key and what it does.", Place.EVERYWHERE, _PROGRAM, footer=7
)
QUIT = Command("fleet.quit", "q", "Quit", "Leave; asks where operations run.", _FLEET, _PROGRAM, footer=22)

ALL: tuple[Command, ...] = (
    *(GATE, CORDON, UNCORDON, DRAIN, REIMAGE, RETIRE, UNDO, PROVISION),
    *(OPEN, FILTER, SORT, REVERSE, WORST, PANE, FAULT),
    *(UP, DOWN, PAGE_UP, PAGE_DOWN, FIRST, LAST, FOLD, UNFOLD, MARK, MARK_ALL, CLEAR),
    *(OPERATIONS, AUDIT, OPERATIONS_UP, OPERATIONS_DOWN, SHOW_OPERATION, RESUME, CANCEL, BACK),
    *(FILTER_LEAVE, FILTER_COMPLETE),
    *(RUN, LEAVE_OUT, RETRY, REFUSE, PLAN_UP, PLAN_DOWN, PLAN_PAGE_UP, PLAN_PAGE_DOWN),
    *(OPERATION_BACK, NODE_BACK, READ_BACK, PALETTE, THEME, HELP, QUIT),
)

BOUND_BY_WIDGETS = frozenset(
    command.id
    for command in ALL
    if command.id.startswith(("table.", "filter."))
    or command in (OPERATIONS_UP, OPERATIONS_DOWN, SHOW_OPERATION, CANCEL)
)
"""Ids of commands whose binding is the widget's own; its messages lead back to them."""

COMMANDS: Mapping[str, Command] = {command.id: command for command in ALL}
"""Every command by its id."""

BY_VERB: Mapping[Verb, Command] = {command.verb: command for command in ALL if command.verb is not None}


def at(place: Place) -> tuple[Command, ...]:
    """The commands of a screen, in the order they are declared."""
    return tuple(command for command in ALL if command.place is place)
