"""The kubelets: they boot their machine into a Node that appears, start and stop its pods, and report its GPUs.

A Node that an API client creates with the simulation's annotation is served: imaging, boot, registration. One without it
stays the empty object it is, as a Node without a machine does in a real cluster.
"""

from __future__ import annotations

from backends.simulated.faults import FaultKind
from backends.simulated.kubelet import Agent, Kubelet, agent_of
from backends.simulated.machines import Machine, Phase
from backends.simulated.node_shapes import gpu_labels, kubelet_labels, node_status
from backends.simulated.objects import LEASES, NODES, Event, Json, timestamp_micro
from backends.simulated.pod_runner import PodRunner
from backends.simulated.pod_shapes import phase_of
from backends.simulated.site import CATEGORY, IMAGE_VERSION, SIMULATED, Site

IMAGING_SECONDS = 60.0
BOOT_SECONDS = 40.0
LEASE_NAMESPACE = "kube-node-lease"


class Kubelets:
    """All kubelets of the site, by node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kubelets: dict[str, Kubelet] = {}
        self._runner = PodRunner(site, self._report, self._current)

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
        self._kubelets[machine.name] = Kubelet(machine, node_uid, found=machine.category.gpus)

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
            self._runner.forget(kubelet, pod, uid)
        elif kubelet.serves:
            self._runner.attend(kubelet, pod)

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
                self._runner.crash(kubelet, pod)

    def mend_agent(self, node: str, agent: Agent) -> None:
        """Let the agent's pods on a node start again."""
        kubelet = self._kubelets.get(node)
        for pod in self._site.store.pods_on(node) if kubelet else ():
            if kubelet and agent_of(pod) is agent:
                self._runner.attend(kubelet, pod)

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
        kubelet = self._kubelets[machine.name] = Kubelet(machine, metadata["uid"])
        self._site.store.update(NODES, machine.name, lambda node: node.update(status={}))
        span = self._site.about(IMAGING_SECONDS, "imaging", machine.name, machine.boots)
        self._site.agenda.after(span, lambda: self._imaged(kubelet))

    def _current(self, kubelet: Kubelet) -> bool:
        return self._kubelets.get(kubelet.machine.name) is kubelet

    def _imaged(self, kubelet: Kubelet) -> None:
        if not self._current(kubelet):
            return
        machine = kubelet.machine
        machine.phase = Phase.BOOTING
        span = self._site.about(BOOT_SECONDS, "boot", machine.name, machine.boots)
        self._site.agenda.after(span, lambda: self._booted(kubelet))

    def _booted(self, kubelet: Kubelet) -> None:
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

    def _register(self, kubelet: Kubelet) -> None:
        """Report for the first time, or again after silence, and look at every pod that is there."""
        self._report(kubelet)
        name = kubelet.machine.name
        if self._site.store.get(LEASES, name, LEASE_NAMESPACE) is None:
            self._site.store.create(LEASES, node_lease(name, timestamp_micro(self._site.clock.now())))
        for pod in self._site.store.pods_on(name):
            self._runner.attend(kubelet, pod)

    def _report(self, kubelet: Kubelet) -> None:
        machine = kubelet.machine
        if self._site.node(machine.name, kubelet.node_uid) is None:
            return
        plugged = Agent.DEVICE_PLUGIN in kubelet.agents
        healthy = [gpu for gpu in machine.working_gpus if plugged]
        if kubelet.found is not None:
            # A GPU that is put back is offered once the device plugin has started anew and found it.
            kubelet.found = max(kubelet.found, len(healthy))

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


def node_lease(name: str, stamp: str) -> Json:
    """The lease by which a kubelet says that it lives."""
    return {
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp},
    }
