"""What an operator can ask for. Apart from `fleet.plan`, for a key map wants the names long before anybody wants a plan."""

from __future__ import annotations

from enum import Enum


class Verb(Enum):
    """What an operator can ask for. PROVISION makes a node; the others take one through its life."""

    GATE = "gate"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    DRAIN = "drain"
    REIMAGE = "reimage"
    RETIRE = "retire"
    PROVISION = "provision"
