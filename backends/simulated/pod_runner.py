"""How a kubelet runs pods: it starts what is bound to its node, stops what was asked to stop, and gives out its GPUs."""

from __future__ import annotations

from collections.abc import Callable

from backends.simulated.check_runs import CheckRun, is_check, run_of
from backends.simulated.kubelet import Agent, Kubelet, agent_of
from backends.simulated.machines import Holder
from backends.simulated.objects import PODS, Json
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
from backends.simulated.site import GPU, Site

_START_SECONDS = 2.0
_STOP_SECONDS = 4.0


class PodRunner:
    """Runs the pods of every kubelet. `report` has a kubelet report its GPUs; `current` says whether it is still its node's."""

    def __init__(
        self, site: Site, report: Callable[[Kubelet], None], current: Callable[[Kubelet], bool]
    ) -> None:
        self._site = site
        self._report = report
        self._current = current

    def attend(self, kubelet: Kubelet, pod: Json) -> None:
        """Do for a pod of the node what its state asks for; nothing where that is on its way."""
        metadata, uid = pod["metadata"], pod["metadata"]["uid"]
        if "deletionTimestamp" in metadata:
            if metadata.get("finalizers") and phase_of(pod) in ("Succeeded", "Failed"):
                return  # stopped, and kept by somebody else
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

    def _start(self, kubelet: Kubelet, metadata: Json) -> None:
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
        if is_check(pod):
            run = run_of(pod, kubelet.machine)
            if run.seconds is not None:
                self._site.agenda.after(run.seconds, lambda: self._complete(kubelet, metadata, run))
        elif seconds is not None:
            self._site.agenda.after(seconds, lambda: self._complete(kubelet, metadata))

    def _show_running(self, kubelet: Kubelet, pod: Json) -> None:
        kubelet.started += 1
        before = (pod.get("status") or {}).get("containerStatuses") or ()
        restarts = max((each.get("restartCount", 0) + 1 for each in before), default=0)
        machine = kubelet.machine
        address = machine.pod_address(kubelet.started)
        pod["status"] = running_status(pod, self._site.stamp(), machine.address, address, restarts=restarts)

    def _show_crashing(self, kubelet: Kubelet, pod: Json) -> None:
        self._show_running(kubelet, pod)
        make_crash_loop(pod, self._site.stamp())

    def _adopt(self, kubelet: Kubelet, pod: Json) -> None:
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

    def _complete(self, kubelet: Kubelet, metadata: Json, run: CheckRun | None = None) -> None:
        pod = self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"])
        if pod is None or metadata["uid"] not in kubelet.running or not kubelet.serves:
            return
        self.forget(kubelet, pod, metadata["uid"])
        code = run.exit_code if run is not None else 0
        if run is not None:
            self._site.store.logs[metadata["uid"]] = run.output
        self._change(pod, lambda copy: finish(copy, self._site.stamp(), succeeded=code == 0, exit_code=code))

    def _stop(self, kubelet: Kubelet, metadata: Json) -> None:
        kubelet.due.discard(f"stop {metadata['uid']}")
        pod = self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"])
        if pod is not None and self._current(kubelet) and kubelet.serves:
            self._site.tell(PODS, pod, "Killing", "Stopping container main", source="kubelet")
            if pod["metadata"].get("finalizers"):
                self.forget(kubelet, pod, metadata["uid"])
                self._change(pod, self._show_stopped)
            else:
                self._site.store.delete(PODS, metadata["name"], metadata["namespace"])

    def _show_stopped(self, pod: Json) -> None:
        """The pod as a kubelet leaves one that a finalizer keeps: ended, with no grace left."""
        finish(pod, self._site.stamp(), succeeded=True)
        pod["metadata"]["deletionGracePeriodSeconds"] = 0

    def forget(self, kubelet: Kubelet, pod: Json, uid: str) -> None:
        """Take a pod as not running any more, with its GPUs and what it brought to the node."""
        kubelet.running.discard(uid)
        kubelet.machine.release(uid, self._site.agenda.now)
        agent = agent_of(pod)
        if agent and kubelet.agents.get(agent) == uid:
            del kubelet.agents[agent]
            if agent is Agent.DEVICE_PLUGIN and kubelet.serves:
                self._report(kubelet)

    def crash(self, kubelet: Kubelet, pod: Json) -> None:
        """Let a running pod fail over and over."""
        self._change(pod, lambda copy: make_crash_loop(copy, self._site.stamp()))
        self.forget(kubelet, pod, pod["metadata"]["uid"])

    def _change(self, pod: Json, change: Callable[[Json], None]) -> None:
        metadata = pod["metadata"]
        if self._site.pod(metadata["namespace"], metadata["name"], metadata["uid"]) is not None:
            self._site.store.update(PODS, metadata["name"], change, metadata["namespace"])
