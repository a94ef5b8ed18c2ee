"""Facts from outside, each absolute: applying one twice, or only the last of many, gives the same fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fleet.feeds import FeedState
from fleet.flag import Flag
from fleet.node import Node, NodeKey
from fleet.telemetry import Alert, NodeTelemetry
from fleet.workload import NodeWork


@dataclass(frozen=True, slots=True)
class NodeSeen:
    node: Node


@dataclass(frozen=True, slots=True)
class NodeGone:
    key: NodeKey


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete list of a source's nodes ended: whoever is not in it is gone."""

    source: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class LastKnown:
    """What is shown of a source is what an earlier run saw at `at`, until a complete list of it ends. None: not any more."""

    source: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkSeen:
    """The work on one node; None where it is not known any more."""

    key: NodeKey
    work: NodeWork | None


@dataclass(frozen=True, slots=True)
class TelemetrySeen:
    """The telemetry of one node; None where it is not known any more."""

    key: NodeKey
    telemetry: NodeTelemetry | None


@dataclass(frozen=True, slots=True)
class AlertsSeen:
    """The alerts that fire at one node, none where it has none or where nobody can say any more."""

    key: NodeKey
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class FlagsSeen:
    """The passive checks that a node in service has begun to fail, none where it fails none.

    `unwatched` are those that are flagged no longer without having passed, by check, with why they are not looked at any more.
    """

    key: NodeKey
    flags: tuple[Flag, ...]
    unwatched: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedChanged:
    state: FeedState


Observation = (
    NodeSeen | NodeGone | Listed | LastKnown | WorkSeen | TelemetrySeen | AlertsSeen | FlagsSeen | FeedChanged
)
