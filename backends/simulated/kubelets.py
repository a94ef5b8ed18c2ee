"""The kubelets: they boot their machine into a Node that appears, start and stop its pods, and report its GPUs.

A Node that an API client creates with the simulation's annotation is served: imaging, boot, registration. One without it
stays the empty object it is, as a Node without a machine does in a real cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from backends.simulated.faults import FaultKind
from backends.simulated.machines import Holder, Machine, Phase
from backends.simulated.node_shapes import gpu_labels, kubelet_labels, node_status
from backends.simulated.objects import LEASES, NODES, PODS, Event, Json, timestamp_micro
from backends.simulated.placement import requests_of
from backends.simulated.pod_shapes import (
    RUNS_FOR,
    STOPS_IN,
    busy_of,
    finish,
    gpu_container,
    is_ready,
    make_crash_loop,
    make_ready,
    phase_of,
    running_status,
    seconds_of,
)
from backends.simulated.site import CATEGORY, GPU, IMAGE_VERSION, SIMULATED, Site

IMAGING_SECONDS = 60.0
BOOT_SECONDS = 40.0
_START_SECONDS = 2.0
_STOP_SECONDS = 4.0
LEASE_NAMESPACE = "kube-node-lease"


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
class _Kubelet:
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


class Kubelets:
    """All kubelets of the site, by node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kubelets: dict[str, _Kubelet] = {}

    def serves(self, node: str) -> bool:
        """Whether the node's kubelet is up and can be heard."""
        kubelet = self._kubelets.get(node)
        return kubelet is not None and kubelet.serves

    def exports(self, node: str) -> bool:
        """Whether an exporter answers on the node."""
        kubelet = self._kubelets.get(node)
        return kubelet is not None and kubelet.serves and Agent.EXPORTER in kubelet.agents

    def found_up(self, machine: Machine, node_uid: str) -> None:
        """Take a machine as booted and registered: the fleet's past."""
        machine.phase = Phase.UP
        self._kubelets[machine.name] = _Kubelet(machine, node_uid, found=machine.category.gpus)

    def on_node(self, event: Event) -> None:
        """Boot the machine of a new node; switch off that of a deleted one."""
        metadata = event.object["metadata"]
        if event.type == "ADDED" and self._site.live:
            if SIMULATED in (metadata.get("annotations") or {}):
                self._power_on(metadata)
        elif event.type == "DELETED":
            kubelet = self._kubelets.pop(metadata["name"], None)
            if kubelet:
                kubelet.machine.phase = Phase.OFF
                for uid in kubelet.running:
                    kubelet.machine.release(uid, self._site.agenda.now)

    def on_pod(self, event: Event) -> None:
        """Start what was bound, stop what was asked to stop, forget what is gone."""
        pod = event.object
        kubelet = self._kubelets.get(pod["spec"].get("nodeName") or "")
        if kubelet is None:
            return
        uid = pod["metadata"]["uid"]
        if event.type == "DELETED":
            self._forget(kubelet, pod, uid)
        elif kubelet.serves:
            self._attend(kubelet, pod)

    def resume(self, node: str) -> None:
        """Be heard again, or go on with a boot that hung, after a fault was lifted."""
        kubelet = self._kubelets.get(node)
        if kubelet is None:
            return
        if kubelet.machine.phase is Phase.BOOTING:
            self._site.agenda.after(BOOT_SECONDS, lambda: self._booted(kubelet))
        elif kubelet.serves:
            self._register(kubelet)

    def refresh(self, node: str) -> None:
        """Report the machine's GPUs as they are now, where the kubelet can report."""
        kubelet = self._kubelets.get(node)
        if kubelet and kubelet.serves:
            self._report(kubelet)

    def break_agent(self, node: str, agent: Agent) -> None:
        """Make the agent's pods on a node fail over and over."""
        kubelet = self._kubelets.get(node)
        for pod in self._site.store.pods_on(node) if kubelet else ():
            if kubelet and agent_of(pod) is agent and phase_of(pod) == "Running":
                self._change(pod, lambda copy: make_crash_loop(copy, self._site.stamp()))
                self._forget(kubelet, pod, pod["metadata"]["uid"])

    def mend_agent(self, node: str, agent: Agent) -> None:
        """Let the agent's pods on a node start again."""
        kubelet = self._kubelets.get(node)
        for pod in self._site.store.pods_on(node) if kubelet else ():
            if kubelet and agent_of(pod) is agent:
                self._attend(kubelet, pod)

    def renew_leases(self) -> None:
        """Renew the lease of every node that can be heard."""
        stamp = timestamp_micro(self._site.clock.now())
        for name, kubelet in self._kubelets.items():
            if kubelet.serves and self._site.store.get(LEASES, name, LEASE_NAMESPACE):
                self._site.store.update(
                    LEASES, name, lambda lease: lease["spec"].update(renewTime=stamp), LEASE_NAMESPACE
                )

    def _power_on(self, metadata: Json) -> None:
        labels = metadata.get("labels") or {}
        machine = self._site.hall.find(metadata["name"], labels.get(CATEGORY, ""))
        machine.image = labels.get(IMAGE_VERSION) or machine.category.desired
        machine.phase = Phase.IMAGING
        kubelet = self._kubelets[machine.name] = _Kubelet(machine, metadata["uid"])
        self._site.store.update(NODES, machine.name, lambda node: node.update(status={}))
        span = self._site.about(IMAGING_SECONDS, "imaging", machine.name, machine.boots)
        self._site.agenda.after(span, lambda: self._imaged(kubelet))

    def _current(self, kubelet: _Kubelet) -> bool:
        return self._kubelets.get(kubelet.machine.name) is kubelet

    def _imaged(self, kubelet: _Kubelet) -> None:
        if not self._current(kubelet):
            return
        machine = kubelet.machine
        machine.phase = Phase.BOOTING
        span = self._site.about(BOOT_SECONDS, "boot", machine.name, machine.boots)
        self._site.agenda.after(span, lambda: self._booted(kubelet))

    def _booted(self, kubelet: _Kubelet) -> None:
        machine = kubelet.machine
        if (
            not self._current(kubelet)
            or machine.phase is not Phase.BOOTING
            or machine.has(FaultKind.BOOT_HANGS)
        ):
            return
        machine.boot(self._site.agenda.now)
        machine.phase = Phase.UP
        if kubelet.serves:
            self._register(kubelet)

    def _register(self, kubelet: _Kubelet) -> None:
        """Report for the first time, or again after silence, and look at every pod that is there."""
        self._report(kubelet)
        name = kubelet.machine.name
        if self._site.store.get(LEASES, name, LEASE_NAMESPACE) is None:
            self._site.store.create(LEASES, node_lease(name, timestamp_micro(self._site.clock.now())))
        for pod in self._site.store.pods_on(name):
            self._attend(kubelet, pod)

    def _attend(self, kubelet: _Kubelet, pod: Json) -> None:
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        if "deletionTimestamp" in metadata:
            if (mark := f"stop {uid}") not in kubelet.due:
                kubelet.due.add(mark)
                self._site.agenda.after(self._stopping_time(pod), lambda: self._stop(kubelet, metadata))
        elif uid in kubelet.due:
            return
        elif phase_of(pod) == "Pending" or (phase_of(pod) == "Running" and uid not in kubelet.running):
            agent = agent_of(pod)
            if phase_of(pod) == "Running" and agent and kubelet.machine.has(agent.fault):
                return
            if not self._site.live:
                self._adopt(kubelet, pod)
                return
            kubelet.due.add(uid)
            span = self._site.about(_START_SECONDS, "start", uid, spread=0.5)
            self._site.agenda.after(span, lambda: self._start(kubelet, metadata))
        elif uid in kubelet.running and phase_of(pod) == "Running" and not is_ready(pod):
            self._change(pod, lambda copy: make_ready(copy, self._site.stamp()))

    def _stopping_time(self, pod: Json) -> float:
        metadata = pod["metadata"]
        grace = float(metadata.get("deletionGracePeriodSeconds", 30))
        said = seconds_of(pod, STOPS_IN)
        return min(
            grace, self._site.about(_STOP_SECONDS, metadata["uid"], spread=0.5) if said is None else said
        )

    def _start(self, kubelet: _Kubelet, metadata: Json) -> None:
        uid = metadata["uid"]
        kubelet.due.discard(uid)
        pod = self._site.pod(metadata["namespace"], metadata["name"], uid)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return
        if not self._current(kubelet) or not kubelet.serves:
            return
        if phase_of(pod) == "Running" and pod["spec"].get("restartPolicy") == "Never":
            self._change(pod, lambda copy: finish(copy, self._site.stamp(), succeeded=False))
            return
        agent = agent_of(pod)
        if agent and kubelet.machine.has(agent.fault):
            self._change(pod, lambda copy: self._show_crashing(kubelet, copy))
            return
        # Counted as running before it shows, or its own event would start it again.
        kubelet.running.add(uid)
        self._change(pod, lambda copy: self._show_running(kubelet, copy))
        self._adopt(kubelet, pod)
        seconds = seconds_of(pod, RUNS_FOR)
        if seconds is not None:
            self._site.agenda.after(seconds, lambda: self._complete(kubelet, metadata))

    def _show_running(self, kubelet: _Kubelet, pod: Json) -> None:
        kubelet.started += 1
        before = (pod.get("status") or {}).get("containerStatuses") or ()
        restarts = max((each.get("restartCount", 0) + 1 for each in before), default=0)
        machine = kubelet.machine
        address = machine.pod_address(kubelet.started)
        pod["status"] = running_status(pod, self._site.stamp(), machine.address, address, restarts=restarts)

    def _show_crashing(self, kubelet: _Kubelet, pod: Json) -> None:
        self._show_running(kubelet, pod)
        make_crash_loop(pod, self._site.stamp())

    def _adopt(self, kubelet: _Kubelet, pod: Json) -> None:
        """Count a pod as running: give it its GPUs, and the node what an agent brings."""
        uid = pod["metadata"]["uid"]
        kubelet.running.add(uid)
        count = requests_of(pod["spec"]).get(GPU, 0)
        if count:
            metadata = pod["metadata"]
            holder = Holder(
                metadata["namespace"],
                metadata["name"],
                gpu_container(pod),
                uid,
                busy_of(pod, self._site.seed),
            )
            kubelet.machine.hold(holder, count, self._site.agenda.now)
        agent = agent_of(pod)
        if agent is None:
            return
        kubelet.agents[agent] = uid
        if not self._site.live:
            return
        if agent is Agent.DEVICE_PLUGIN:
            kubelet.found = len(kubelet.machine.working_gpus)
            self._report(kubelet)
        else:
            kubelet.machine.restart_exporter()

    def _complete(self, kubelet: _Kubelet, metadata: Json) -> None:
        pod = self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"])
        if pod is None or metadata["uid"] not in kubelet.running or not kubelet.serves:
            return
        self._forget(kubelet, pod, metadata["uid"])
        self._change(pod, lambda copy: finish(copy, self._site.stamp(), succeeded=True))

    def _stop(self, kubelet: _Kubelet, metadata: Json) -> None:
        kubelet.due.discard(f"stop {metadata['uid']}")
        pod = self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"])
        if pod is not None and self._current(kubelet) and kubelet.serves:
            self._site.tell(PODS, pod, "Killing", "Stopping container main", source="kubelet")
            self._site.store.delete(PODS, metadata["name"], metadata["namespace"])

    def _forget(self, kubelet: _Kubelet, pod: Json, uid: str) -> None:
        kubelet.running.discard(uid)
        kubelet.machine.release(uid, self._site.agenda.now)
        agent = agent_of(pod)
        if agent and kubelet.agents.get(agent) == uid:
            del kubelet.agents[agent]
            if agent is Agent.DEVICE_PLUGIN and kubelet.serves:
                self._report(kubelet)

    def _report(self, kubelet: _Kubelet) -> None:
        machine = kubelet.machine
        if self._site.node(machine.name, kubelet.node_uid) is None:
            return
        plugged = Agent.DEVICE_PLUGIN in kubelet.agents
        healthy = [gpu for gpu in machine.working_gpus if plugged]

        def write(node: Json) -> None:
            labels = node["metadata"].setdefault("labels", {})
            labels.update(kubelet_labels(machine))
            if plugged and kubelet.found is not None:
                labels.update(gpu_labels(machine, kubelet.found))
            node["spec"].setdefault("providerID", f"sim://{machine.name}")
            node["status"] = node_status(
                machine, self._site.stamp(), node.get("status") or {}, found=kubelet.found, healthy=healthy
            )

        self._site.store.update(NODES, machine.name, write)

    def _change(self, pod: Json, change: Callable[[Json], None]) -> None:
        metadata = pod["metadata"]
        if self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"]) is not None:
            self._site.store.update(PODS, metadata["name"], change, metadata["namespace"])


def node_lease(name: str, stamp: str) -> Json:
    """The lease by which a kubelet says that it lives."""
    return {
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp},
    }
