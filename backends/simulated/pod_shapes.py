"""The JSON of pods and their statuses, as the API server, kubelet and controllers write them."""

from __future__ import annotations

from typing import Any

from backends.simulated.chance import fraction
from backends.simulated.objects import Json
from backends.simulated.site import GPU

BUSY = "sim.node.lab/busy"  # pod annotation: mean GPU utilisation, 0 to 1
RUNS_FOR = "sim.node.lab/runs-for"  # pod annotation: seconds until the pod succeeds
STOPS_IN = "sim.node.lab/stops-in"  # pod annotation: seconds it takes to stop, within its grace period
_DEFAULT_TOLERATIONS = tuple(
    {
        "key": f"node.kubernetes.io/{key}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for key in ("not-ready", "unreachable")
)


def admitted_spec(spec: Json, *, node: str | None = None) -> Json:
    """A pod spec with the defaults that admission adds; shares its parts with `spec`."""
    tolerations = list(spec.get("tolerations") or ())
    keys = {each.get("key") for each in tolerations}
    if None not in keys:
        tolerations += [dict(each) for each in _DEFAULT_TOLERATIONS if each["key"] not in keys]
    given = {name: value for name, value in spec.items() if value is not None}
    filled = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        **given,
        "tolerations": tolerations,
    }
    return {**filled, "nodeName": node} if node else filled


def owned_pod(
    name: str,
    namespace: str,
    template: Json,
    owner: Json,
    labels: Json | None = None,
    spec: Json | None = None,
) -> Json:
    """A pod of a template, Pending, with its one controller named."""
    metadata: Json = {
        "name": name,
        "namespace": namespace,
        "labels": {**(template.get("metadata", {}).get("labels") or {}), **(labels or {})},
        "ownerReferences": [owner],
    }
    if annotations := template.get("metadata", {}).get("annotations"):
        metadata["annotations"] = annotations
    return {
        "metadata": metadata,
        "spec": spec if spec is not None else admitted_spec(template.get("spec") or {}),
        "status": {"phase": "Pending"},
    }


def owner_reference(kind: str, api_version: str, owner: Json) -> Json:
    """What a controlled object says of its controller."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Json) -> Json | None:
    """The owner reference of the controller, or None."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Json = reference
            return found
    return None


def is_ready(pod: Json) -> bool:
    """Whether the pod's Ready condition is True."""
    return any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in (pod.get("status") or {}).get("conditions") or ()
    )


def is_live(pod: Json) -> bool:
    """Whether a controller counts the pod: not finished, and not on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and phase_of(pod) in ("Pending", "Running")


def phase_of(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def ready_conditions(stamp: str, *, ready: bool = True) -> list[Json]:
    """The conditions of a pod that runs."""
    status = "True" if ready else "False"
    return [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp},
        {"type": "Initialized", "status": "True", "lastTransitionTime": stamp},
        {"type": "ContainersReady", "status": status, "lastTransitionTime": stamp},
        {"type": "Ready", "status": status, "lastTransitionTime": stamp},
    ]


def running_status(pod: Json, stamp: str, host: str, address: str, *, restarts: int = 0) -> Json:
    """The status of a pod whose containers all run."""
    return {
        "phase": "Running",
        "conditions": ready_conditions(stamp),
        "hostIP": host,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": stamp,
        "qosClass": "Burstable",
        "containerStatuses": [
            {
                "name": container.get("name", "main"),
                "image": container.get("image", ""),
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": restarts,
                "state": {"running": {"startedAt": stamp}},
            }
            for container in pod["spec"].get("containers") or ()
        ],
    }


def make_unready(pod: Json, stamp: str) -> None:
    """Turn Ready to False, as the node controller does for the pods of a silent node."""
    _turn_ready(pod, "False", stamp)


def make_ready(pod: Json, stamp: str) -> None:
    """Turn Ready back to True, as a kubelet does that is heard again."""
    _turn_ready(pod, "True", stamp)


def _turn_ready(pod: Json, status: str, stamp: str) -> None:
    for each in (pod.get("status") or {}).get("conditions") or ():
        if each.get("type") == "Ready" and each.get("status") != status:
            each.update(status=status, lastTransitionTime=stamp)


def make_crash_loop(pod: Json, stamp: str) -> None:
    """Show the containers as failing over and over."""
    make_unready(pod, stamp)
    for container in pod.get("status", {}).get("containerStatuses") or ():
        container.update(
            ready=False,
            started=False,
            restartCount=container.get("restartCount", 0) + 1,
            state={
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": f"back-off 5m0s restarting failed container={container['name']}",
                }
            },
        )


def finish(pod: Json, stamp: str, *, succeeded: bool, exit_code: int = 137) -> None:
    """End the containers of a pod that does not start them again; `exit_code` is that of one that did not succeed."""
    status = pod["status"]
    status["phase"] = "Succeeded" if succeeded else "Failed"
    make_unready(pod, stamp)
    ended = {
        "exitCode": 0 if succeeded else exit_code,
        "reason": "Completed" if succeeded else "Error",
        "finishedAt": stamp,
    }
    for container in status.get("containerStatuses") or ():
        container.update(ready=False, started=False, state={"terminated": dict(ended)})


def seconds_of(pod: Json, annotation: str) -> float | None:
    """The number in one of the simulator's own annotations; None where it is missing or no number of seconds."""
    text: Any = (pod["metadata"].get("annotations") or {}).get(annotation)
    try:
        seconds = float(str(text).removesuffix("s"))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


def busy_of(pod: Json, seed: int) -> float:
    """The mean utilisation of the GPUs a pod holds, 0 to 1."""
    said = seconds_of(pod, BUSY)
    return 0.35 + 0.5 * fraction(seed, "busy", pod["metadata"]["uid"]) if said is None else min(1.0, said)


def gpu_container(pod: Json) -> str:
    """The name of the container that holds the GPUs."""
    for container in pod["spec"].get("containers") or ():
        if GPU in ((container.get("resources") or {}).get("limits") or {}):
            return str(container.get("name", "main"))
    return "main"
