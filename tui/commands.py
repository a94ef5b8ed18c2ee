"""Every command, declared once: its binding, footer, palette entry, help line and key map id all come from here.

No Textual is loaded, so that the documentation's key table and its test are made from the same values. Commands that a
widget binds for itself (the table's moves) are declared with the widget's own binding id.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.verb import Verb
from tui import why_not
from tui.command import Command, Danger, Kind, Place

# Handed on by their names here, many to a line.
# isort: off
from tui.confirming import (
    LEAVE_OUT as LEAVE_OUT,
    OPTIONS as OPTIONS,
    PLAN_DOWN as PLAN_DOWN,
    PLAN_PAGE_DOWN as PLAN_PAGE_DOWN,
    PLAN_PAGE_UP as PLAN_PAGE_UP,
    PLAN_UP as PLAN_UP,
    REFUSE as REFUSE,
    RETRY as RETRY,
    RUN as RUN,
)
from tui.looking import (
    DRIFT as DRIFT,
    DRIFT_BACK as DRIFT_BACK,
    DRIFT_DOWN as DRIFT_DOWN,
    DRIFT_LEFT as DRIFT_LEFT,
    DRIFT_MARK as DRIFT_MARK,
    DRIFT_NEXT as DRIFT_NEXT,
    DRIFT_OPEN as DRIFT_OPEN,
    DRIFT_READ as DRIFT_READ,
    DRIFT_RIGHT as DRIFT_RIGHT,
    DRIFT_TURN as DRIFT_TURN,
    DRIFT_UP as DRIFT_UP,
    HEAT as HEAT,
    HEAT_BACK as HEAT_BACK,
    HEAT_BY as HEAT_BY,
    HEAT_DOWN as HEAT_DOWN,
    HEAT_FIRST as HEAT_FIRST,
    HEAT_IN as HEAT_IN,
    HEAT_LAST as HEAT_LAST,
    HEAT_LEFT as HEAT_LEFT,
    HEAT_MEASURE as HEAT_MEASURE,
    HEAT_OUT as HEAT_OUT,
    HEAT_PAGE_DOWN as HEAT_PAGE_DOWN,
    HEAT_PAGE_UP as HEAT_PAGE_UP,
    HEAT_RIGHT as HEAT_RIGHT,
    HEAT_UP as HEAT_UP,
    TIMELINE as TIMELINE,
    TIMELINE_BACK as TIMELINE_BACK,
    TIMELINE_KINDS as TIMELINE_KINDS,
    TIMELINE_LOCAL as TIMELINE_LOCAL,
    TIMELINE_ORDER as TIMELINE_ORDER,
    TIMELINE_SPAN as TIMELINE_SPAN,
    TIMELINE_WRITE as TIMELINE_WRITE,
)
# isort: on

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
    why_not.gate,
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
    why_not.verb,
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
    why_not.verb,
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
    why_not.verb,
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
    why_not.reimage,
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
    why_not.retire,
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
    why_not.undo,
)
PROVISION = Command(
    "verb.provision",
    "p",
    "Provision",
    "Make a new node, behind the gate (simulated and KWOK fleets only).",
    _FLEET,
    _VERBS,
    _SAFE,
    why_not.provision,
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
    "filter.leave",
    "escape",
    "Clear the filter",
    "Leave the filter bar and show all; enter keeps the filter and goes to the table.",
    Place.FILTER,
    Kind.FILTER,
)
FILTER_COMPLETE = Command(
    "filter.complete", "tab", "Complete", "Take the word that is offered.", Place.FILTER, Kind.FILTER
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
    "Break the marked nodes or the one under the cursor, on a simulated fleet.",
    _FLEET,
    _LOOK,
    why_not=why_not.fault,
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
    why_not=why_not.chosen,
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
    why_not.resume,
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
    why_not.cancel,
    3,
)
BACK = Command(
    "operations.back", "escape,q", "Back", "Back to the fleet.", Place.OPERATIONS, Kind.OPERATIONS, footer=9
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
GPUS = Command(
    "fleet.gpus",
    "H",
    "GPUs",
    "The node's GPUs on a screen of their own, with charts of their past.",
    _FLEET,
    _LOOK,
    why_not=why_not.one_node,
)
SHORTER = Command(
    "gpus.shorter",
    "left_square_bracket",
    "Shorter past",
    "Charts of 24 h, 6 h, 1 h, 15 min: the next shorter one.",
    Place.GPUS,
    Kind.GPUS,
    footer=17,
)
LONGER = Command(
    "gpus.longer",
    "right_square_bracket",
    "Longer past",
    "The next longer one.",
    Place.GPUS,
    Kind.GPUS,
    footer=18,
)
GPUS_BACK = Command(
    "gpus.back", "escape,q", "Back", "Back to where you were.", Place.GPUS, Kind.GPUS, footer=9
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
DRILL = Command(
    "fleet.drill",
    "D",
    "Drill",
    "Walk a node of the drill's own through its life with these very keys, with a coach beside.",
    _FLEET,
    _PROGRAM,
    why_not=why_not.drill,
)
DRILL_NEXT = Command(
    "drill.next",
    "n",
    "Next step",
    "In a drill: do the step for me, by the same command, or go on.",
    _FLEET,
    _PROGRAM,
    why_not=why_not.drilling,
)
DRILL_EXPLAIN = Command(
    "drill.explain",
    "e",
    "Explain",
    "In a drill: everything about this step, and the ideas of the whole.",
    _FLEET,
    _PROGRAM,
    why_not=why_not.drilling,
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
    *(GPUS, SHORTER, LONGER, GPUS_BACK),
    *(OPEN, FILTER, SORT, REVERSE, WORST, PANE, HEAT, FAULT),
    *(UP, DOWN, PAGE_UP, PAGE_DOWN, FIRST, LAST, FOLD, UNFOLD, MARK, MARK_ALL, CLEAR),
    *(OPERATIONS, AUDIT, OPERATIONS_UP, OPERATIONS_DOWN, SHOW_OPERATION, RESUME, CANCEL, BACK),
    *(TIMELINE, TIMELINE_KINDS, TIMELINE_SPAN, TIMELINE_ORDER, TIMELINE_LOCAL, TIMELINE_WRITE, TIMELINE_BACK),
    *(DRIFT, DRIFT_OPEN, DRIFT_MARK, DRIFT_NEXT, DRIFT_TURN, DRIFT_READ, DRIFT_BACK),
    *(DRIFT_UP, DRIFT_DOWN, DRIFT_LEFT, DRIFT_RIGHT),
    *(FILTER_LEAVE, FILTER_COMPLETE),
    *(RUN, OPTIONS, LEAVE_OUT, RETRY, REFUSE, PLAN_UP, PLAN_DOWN, PLAN_PAGE_UP, PLAN_PAGE_DOWN),
    *(HEAT_IN, HEAT_OUT, HEAT_MEASURE, HEAT_BY, HEAT_BACK),
    *(HEAT_UP, HEAT_DOWN, HEAT_LEFT, HEAT_RIGHT, HEAT_PAGE_UP, HEAT_PAGE_DOWN, HEAT_FIRST, HEAT_LAST),
    *(OPERATION_BACK, NODE_BACK, READ_BACK, PALETTE, THEME, HELP),
    *(DRILL, DRILL_NEXT, DRILL_EXPLAIN, QUIT),
)

BOUND_BY_WIDGETS = frozenset(
    command.id
    for command in ALL
    if command.id.startswith(("table.", "filter."))
    or command
    in (HEAT_UP, HEAT_DOWN, HEAT_LEFT, HEAT_RIGHT, HEAT_PAGE_UP, HEAT_PAGE_DOWN, HEAT_FIRST, HEAT_LAST)
    or command in (OPERATIONS_UP, OPERATIONS_DOWN, SHOW_OPERATION, CANCEL)
    or command in (DRIFT_UP, DRIFT_DOWN, DRIFT_LEFT, DRIFT_RIGHT)
)
"""Ids of commands whose binding is the widget's own; its messages lead back to them."""

COMMANDS: Mapping[str, Command] = {command.id: command for command in ALL}
"""Every command by its id."""

BY_VERB: Mapping[Verb, Command] = {command.verb: command for command in ALL if command.verb is not None}


def at(place: Place) -> tuple[Command, ...]:
    """The commands of a screen, in the order they are declared."""
    return tuple(command for command in ALL if command.place is place)
