"""What a command is, and what it is judged against. Which there are is `tui.commands`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

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
    GPUS = "gpus"
    HEAT = "heat"
    OPERATIONS = "operations"
    OPERATION = "operation"
    TIMELINE = "timeline"
    DRIFT = "drift"
    CONFIRM = "confirm"
    READING = "reading"  # audit and help: long texts to scroll


class Kind(Enum):
    """The headings of the help, in its order."""

    VERBS = "Verbs, on the marked nodes or the one under the cursor"
    LOOKING = "Looking"
    MARKING = "Moving and marking"
    FILTER = "In the filter bar"
    GPUS = "In a node's pane and on its GPU screen"
    HEAT = "On the heat map"
    TIMELINE = "On a timeline"
    DRIFT = "On the drift screen"
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
    last_known: str = ""  # a source of the targets that has not answered in this run
    simulated: bool = False
    provisions: bool = False
    drills: bool = False  # a drill could be given ground here
    drilling: bool = False  # and one is under way
    chosen: str = ""  # what a list has under its cursor, empty for nothing
    chosen_state: str = ""
    blocked: bool = False  # a plan on screen has blocked nodes
    plannable: bool = False  # and others that are not
    options: bool = False  # a plan on screen has options


WhyNot = Callable[[Standing], str | None]


def always(at: Standing) -> str | None:
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
    why_not: WhyNot = always
    footer: int = 0
    verb: Verb | None = None
