"""One kubelet's memory, and the agents whose pods give a node its GPUs and its telemetry."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from backends.simulated.faults import FaultKind
from backends.simulated.machines import Machine, Phase
from backends.simulated.objects import Json


class Agent(Enum):
    """A DaemonSet whose pod gives the node something, by its `app` label and the fault that breaks it."""

    DEVICE_PLUGIN = ("nvidia-device-plugin-daemonset", FaultKind.DEVICE_PLUGIN_GONE)
    EXPORTER = ("nvidia-dcgm-exporter", FaultKind.EXPORTER_GONE)

    def __init__(self, app: str, fault: FaultKind) -> None:
        self.app = app
        self.fault = fault


_AGENTS = {agent.app: agent for agent in Agent}


def agent_of(pod: Json) -> Agent | None:
    """Which agent a pod is, if any."""
    app = (pod["metadata"].get("labels") or {}).get("app")
    return _AGENTS.get(app) if app else None


@dataclass(slots=True)
class Kubelet:
    """What one kubelet has in memory: lost at every boot."""

    machine: Machine
    node_uid: str
    running: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    agents: dict[Agent, str] = field(default_factory=dict)
    found: int | None = None
    started: int = 0

    @property
    def serves(self) -> bool:
        """Whether it is up and can be heard."""
        return self.machine.phase is Phase.UP and not self.machine.has(FaultKind.UNREACHABLE)
