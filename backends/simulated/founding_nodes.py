"""The Node objects of the fleet's past, with the marks that the story of the first screen leaves on them."""

from __future__ import annotations

import json
from datetime import timedelta

from backends.simulated.chance import suffix
from backends.simulated.faults import Fault, FaultKind, fault
from backends.simulated.fleet_plan import NodePlan, Story
from backends.simulated.machines import Machine
from backends.simulated.node_shapes import gpu_labels, kubelet_labels, node_status
from backends.simulated.objects import Json, timestamp
from backends.simulated.site import (
    CATEGORY,
    DESIRED_IMAGE,
    GATE,
    GATE_TAINT,
    HELD_BY,
    IMAGE_VERSION,
    LIFECYCLE,
    SIMULATED,
    Site,
)

_LIFECYCLES = {
    Story.QUARANTINED: "quarantined",
    Story.PROVISIONING: "provisioning",
    Story.DRAINED: "drained",
}
_FAULTS = {
    Story.QUARANTINED: (FaultKind.XID, 3),
    Story.HOT: (FaultKind.HOT_GPU, 5),
    Story.ROW_REMAP: (FaultKind.ROW_REMAP, 2),
    Story.EXPORTER_GONE: (FaultKind.EXPORTER_GONE, None),
    Story.UNREACHABLE: (FaultKind.UNREACHABLE, None),
}


def fault_of(plan: NodePlan) -> Fault | None:
    """The fault behind a node's story, or None where the story is one of people."""
    if plan.story not in _FAULTS:
        return None
    kind, gpu = _FAULTS[plan.story]
    return fault(kind, plan.name, gpu=gpu if gpu is None else min(gpu, plan.category.gpus - 1))


def founded_node(site: Site, plan: NodePlan, machine: Machine) -> Json:
    """The Node of a machine that has been running for a while."""
    labels = {
        **kubelet_labels(machine),
        **gpu_labels(machine, machine.category.gpus),
        CATEGORY: plan.category.name,
        IMAGE_VERSION: plan.image,
        LIFECYCLE: _LIFECYCLES.get(plan.story, "in-service") if plan.story else "in-service",
        "topology.kubernetes.io/region": "lab",
        "topology.kubernetes.io/zone": plan.zone,
        "node.lab/rack": plan.rack,
        "node.kubernetes.io/instance-type": plan.category.machine.lower(),
    }
    if plan.clique:
        labels["nvidia.com/gpu.clique"] = plan.clique
    annotations = {SIMULATED: "fake", DESIRED_IMAGE: plan.category.desired}
    spec: Json = {"providerID": f"sim://{plan.name}"}
    status = node_status(
        machine, site.stamp(), {}, found=machine.category.gpus, healthy=range(machine.category.gpus)
    )
    node: Json = {
        "metadata": {"name": plan.name, "labels": labels, "annotations": annotations},
        "spec": spec,
        "status": status,
    }
    if plan.story is not Story.PROVISIONING:
        annotations[GATE] = _verdict(site, node, "PASS", timedelta(days=6))
    if plan.story:
        _mark(site, plan.story, node)
    return node


def _mark(site: Site, story: Story, node: Json) -> None:
    """Leave on the node what whoever closed it would have written."""
    annotations, spec = node["metadata"]["annotations"], node["spec"]
    if story in (Story.QUARANTINED, Story.PROVISIONING):
        spec["taints"] = [{"key": GATE_TAINT, "value": "pending", "effect": "NoSchedule"}]
    if story is Story.QUARANTINED:
        annotations[GATE] = _verdict(
            site,
            node,
            "FAIL",
            timedelta(minutes=38),
            [
                {"check": "gpus", "verdict": "FAIL", "value": "7", "threshold": "8"},
                {"check": "xid", "verdict": "FAIL", "value": "79", "threshold": "no forbidden XID"},
            ],
        )
    elif story is Story.HELD:
        spec["unschedulable"] = True
        annotations[HELD_BY] = _hold(
            site, node, "cordon", "fan tray replacement, waiting for parts", timedelta(hours=5)
        )
    elif story is Story.DRAINED:
        spec["unschedulable"] = True
        annotations[HELD_BY] = _hold(site, node, "drain", "next in the rollout to v2", timedelta(minutes=50))
    elif story is Story.FOREIGN:
        _mark_foreign(site, node)


def _mark_foreign(site: Site, node: Json) -> None:
    """What NVSentinel's fault-quarantine and health monitors leave (docs/configuration/fault-quarantine.md)."""
    at = _present(site, timedelta(minutes=95))
    node["spec"]["unschedulable"] = True
    node["metadata"]["labels"].update(
        {
            "dgxc.nvidia.com/nvsentinel-state": "quarantined",
            "k8saas.nvidia.com/cordon-by": "NVSentinel",
            "k8saas.nvidia.com/cordon-reason": "gpu-fatal-error-ruleset",
            "k8saas.nvidia.com/cordon-timestamp": at.replace(":", "-"),
        }
    )
    node["metadata"]["annotations"].update(
        {
            "quarantineHealthEvent": json.dumps(
                [
                    {
                        "nodeName": node["metadata"]["name"],
                        "agent": "gpu-health-monitor",
                        "checkName": "GpuNvlinkWatch",
                        "isFatal": True,
                        "errorCode": ["DCGM_FR_NVLINK_DOWN"],
                    }
                ]
            ),
            "quarantineHealthEventIsCordoned": "True",
        }
    )
    node["status"]["conditions"].append(
        {
            "type": "GpuNvlinkWatch",
            "status": "True",
            "reason": "GpuNvlinkWatchIsNotHealthy",
            "message": "ErrorCode:DCGM_FR_NVLINK_DOWN GPU:1 Recommended Action=RESTART_VM;",
            "lastTransitionTime": at,
            "lastHeartbeatTime": at,
        }
    )


def _hold(site: Site, node: Json, verb: str, reason: str, ago: timedelta) -> str:
    return json.dumps(
        [
            {
                "by": "oncall",
                "verb": verb,
                "operation": f"op-{suffix(site.seed, 'operation', node['metadata']['name'], length=8)}",
                "reason": reason,
                "since": _present(site, ago),
                "found": "open",
            }
        ]
    )


def _verdict(site: Site, node: Json, verdict: str, ago: timedelta, failing: list[Json] | None = None) -> str:
    """A gate's note, of the boot that the node is in still."""
    return json.dumps(
        {
            "verdict": verdict,
            "failing": failing or [],
            "digest": "",
            "at": _present(site, ago),
            "by": "oncall",
            "boot": node["status"]["nodeInfo"]["bootID"],
        }
    )


def _present(site: Site, ago: timedelta) -> str:
    """A time `ago` from now, whatever age is being written."""
    return timestamp(site.clock.now() + site.clock.age - ago)
