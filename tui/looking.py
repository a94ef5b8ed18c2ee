"""The commands of the screens that only look: the heat map, a node's timeline, the drift matrix. `tui.commands` has them all."""

from __future__ import annotations

from tui import why_not
from tui.command import Command, Kind, Place

_FLEET, _HEAT, _TIMELINE, _DRIFT = Place.FLEET, Place.HEAT, Place.TIMELINE, Place.DRIFT
_LOOK = Kind.LOOKING

HEAT = Command(
    "fleet.heat",
    "m",
    "Heat map",
    "Every GPU one cell, from racks down to GPUs, by utilisation, temperature, power, memory or errors.",
    _FLEET,
    _LOOK,
    footer=15,
)
HEAT_IN = Command(
    "heat.in",
    "enter,plus",
    "Closer",
    "From racks to nodes to GPUs, then the node itself.",
    _HEAT,
    Kind.HEAT,
    footer=1,
)
HEAT_OUT = Command("heat.out", "minus", "Farther", "From GPUs to nodes to racks.", _HEAT, Kind.HEAT, footer=2)
HEAT_MEASURE = Command(
    "heat.measure",
    "m",
    "Measure",
    "The next of utilisation, temperature, power, memory and errors.",
    _HEAT,
    Kind.HEAT,
    footer=3,
)
HEAT_BY = Command(
    "heat.by",
    "b",
    "By",
    "Put together by rack, switch, NVLink clique, zone or category.",
    _HEAT,
    Kind.HEAT,
    footer=4,
)
HEAT_UP = Command("heat.up", "up,k", "Up", "The cell above.", _HEAT, Kind.HEAT)
HEAT_DOWN = Command("heat.down", "down,j", "Down", "The cell below.", _HEAT, Kind.HEAT)
HEAT_LEFT = Command("heat.left", "left,h", "Left", "The cell before.", _HEAT, Kind.HEAT)
HEAT_RIGHT = Command("heat.right", "right,l", "Right", "The cell after.", _HEAT, Kind.HEAT)
HEAT_PAGE_UP = Command("heat.page-up", "pageup,ctrl+b", "Page up", "One page up.", _HEAT, Kind.HEAT)
HEAT_PAGE_DOWN = Command("heat.page-down", "pagedown,ctrl+f", "Page down", "One page down.", _HEAT, Kind.HEAT)
HEAT_FIRST = Command("heat.first", "home", "First", "To the first cell.", _HEAT, Kind.HEAT)
HEAT_LAST = Command("heat.last", "end", "Last", "To the last cell.", _HEAT, Kind.HEAT)
HEAT_BACK = Command("heat.back", "escape,q", "Back", "Back to the fleet.", _HEAT, Kind.HEAT, footer=9)

TIMELINE = Command(
    "fleet.timeline",
    "T",
    "Timeline",
    "What happened to the node under the cursor, from every source that can tell.",
    _FLEET,
    _LOOK,
    why_not=why_not.one_node,
    footer=16,
)
TIMELINE_KINDS = Command(
    "timeline.kinds", "f", "Kind", "Show lines of one kind alone, or all.", _TIMELINE, Kind.TIMELINE, footer=1
)
TIMELINE_SPAN = Command(
    "timeline.span", "s", "Span", "The last day, week or month.", _TIMELINE, Kind.TIMELINE, footer=2
)
TIMELINE_ORDER = Command(
    "timeline.order", "r", "Turn round", "Newest or oldest first.", _TIMELINE, Kind.TIMELINE, footer=3
)
TIMELINE_LOCAL = Command(
    "timeline.local",
    "l",
    "Local time",
    "Times in UTC or of this machine's zone.",
    _TIMELINE,
    Kind.TIMELINE,
    footer=4,
)
TIMELINE_WRITE = Command(
    "timeline.write",
    "w",
    "Write",
    "Write what is shown as Markdown to a new file in the current folder.",
    _TIMELINE,
    Kind.TIMELINE,
    footer=5,
)
TIMELINE_BACK = Command(
    "timeline.back", "escape,q", "Back", "Back to where you were.", _TIMELINE, Kind.TIMELINE, footer=9
)

DRIFT = Command(
    "fleet.drift",
    "v",
    "Drift",
    "Versions by category, the odd ones marked; and who fails again and again.",
    _FLEET,
    _LOOK,
    footer=17,
)
DRIFT_OPEN = Command(
    "drift.open",
    "enter",
    "Show them",
    "Show in the fleet the nodes that this cell is odd on; the timeline of an offender.",
    _DRIFT,
    Kind.DRIFT,
    footer=1,
)
DRIFT_MARK = Command(
    "drift.mark",
    "space",
    "Mark them",
    "Mark the nodes that this cell is odd on.",
    _DRIFT,
    Kind.DRIFT,
    footer=2,
)
DRIFT_NEXT = Command(
    "drift.next", "w", "Next odd", "To the next cell with an odd one.", _DRIFT, Kind.DRIFT, footer=3
)
DRIFT_TURN = Command(
    "drift.turn",
    "tab",
    "Offenders",
    "Between the matrix and the repeat offenders.",
    _DRIFT,
    Kind.DRIFT,
    footer=4,
)
DRIFT_READ = Command(
    "drift.read",
    "ctrl+r",
    "Read again",
    "Ask for the versions and the journal anew.",
    _DRIFT,
    Kind.DRIFT,
)
DRIFT_UP = Command("drift.up", "up,k", "Up", "The category above.", _DRIFT, Kind.DRIFT)
DRIFT_DOWN = Command("drift.down", "down,j", "Down", "The category below.", _DRIFT, Kind.DRIFT)
DRIFT_LEFT = Command("drift.left", "left,h", "Left", "The version before.", _DRIFT, Kind.DRIFT)
DRIFT_RIGHT = Command("drift.right", "right,l", "Right", "The version after.", _DRIFT, Kind.DRIFT)
DRIFT_BACK = Command("drift.back", "escape,q", "Back", "Back to the fleet.", _DRIFT, Kind.DRIFT, footer=9)
