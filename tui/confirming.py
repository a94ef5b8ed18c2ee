"""The commands of the confirm screen. `tui.commands` has them all."""

from __future__ import annotations

from tui import why_not
from tui.command import Command, Kind, Place

RUN = Command(
    "confirm.run",
    "enter",
    "Run it",
    "Do what the plan says; no letter does, for a reason is typed here.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    footer=1,
)
LEAVE_OUT = Command(
    "confirm.leave-out",
    "ctrl+o",
    "Leave out blocked",
    "Go on with the nodes that nothing blocks.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    why_not=why_not.leave_out,
    footer=4,
)
OPTIONS = Command(
    "confirm.options",
    "tab",
    "Options, space ticks",
    "To the next option or line of the form; space turns an option on or off.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    why_not=why_not.options,
    footer=2,
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
    footer=5,
)
REFUSE = Command(
    "confirm.no",
    "escape",
    "Nothing done",
    "Leave without doing anything.",
    Place.CONFIRM,
    Kind.CONFIRMING,
    footer=3,
)
