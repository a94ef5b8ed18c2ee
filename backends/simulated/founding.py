"""The fleet's past: every object that is there when the simulation begins, each with a believable age.

Written through the object store like everything else, so that the controllers learn of it in their usual way; `Site.live` is
false meanwhile, and nobody reacts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from backends.simulated.chance import fraction
from backends.simulated.daemons import daemon_pod, write_daemon_status
from backends.simulated.founding_nodes import founded_node
from backends.simulated.kubelet import Agent
from backends.simulated.kubelets import LEASE_NAMESPACE, Kubelets, node_lease
from backends.simulated.objects import (
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Json,
    timestamp_micro,
)
from backends.simulated.pod_shapes import (
    BUSY,
    admitted_spec,
    owned_pod,
    owner_reference,
    running_status,
)
from backends.simulated.replicas import replica_set, template_hash
from backends.simulated.site import GPU, Site
from backends.simulated.workload_plan import WorkloadPlan, plan_workloads
from fleet.diagnosis import CheckSite

_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", LEASE_NAMESPACE, "gpu-operator")
_DAEMONS = (
    ("gpu-operator", Agent.DEVICE_PLUGIN.app, "nvidia/k8s-device-plugin:v0.17.1"),
    ("gpu-operator", Agent.EXPORTER.app, "nvidia/dcgm-exporter:4.2.3"),
    ("kube-system", "kube-proxy", "kube-proxy:v1.32.5"),
)
_EVERYTHING = [{"operator": "Exists"}]


def found(site: Site, kubelets: Kubelets) -> None:
    """Write the whole fleet of the site's plan into its store."""
    workloads = plan_workloads(site.plan)
    site.clock.age = timedelta(days=211)
    namespaces = dict.fromkeys(workload.namespace for workload in workloads)
    for name in dict.fromkeys((*_SYSTEM_NAMESPACES, *namespaces)):
        site.store.create(NAMESPACES, _namespace(name))
    daemons = [site.store.create(DAEMONSETS, _daemon(*row)) for row in _DAEMONS]
    _found_nodes(site, kubelets)
    _found_daemon_pods(site, daemons)
    for workload in workloads:
        site.clock.age = timedelta(
            hours=2 + 90 * fraction(site.seed, "age", workload.namespace, workload.name)
        )
        _found_workload(site, workload)
    site.clock.age = timedelta(days=3)
    site.store.create(NAMESPACES, _namespace(CheckSite().namespace))
    site.clock.age = timedelta(0)
    for daemon in daemons:
        write_daemon_status(site, daemon)


def _found_nodes(site: Site, kubelets: Kubelets) -> None:
    for plan in site.plan.nodes:
        machine = site.hall.find(plan.name, plan.category.name)
        days = 0.01 if plan.story and not plan.takes_work else 9.0
        site.clock.age = timedelta(days=days + 30 * days * fraction(site.seed, "age", plan.name))
        node = site.store.create(NODES, founded_node(site, plan, machine))
        kubelets.found_up(machine, node["metadata"]["uid"])
        stamp = timestamp_micro(site.clock.now() + site.clock.age)
        site.store.create(LEASES, node_lease(plan.name, stamp))


def _found_daemon_pods(site: Site, daemons: Iterable[Json]) -> None:
    for daemon in daemons:
        name = daemon["metadata"]["name"]
        for turn, plan in enumerate(site.plan.nodes):
            machine = site.hall.find(plan.name, "")
            site.clock.age = timedelta(minutes=12 if turn % 7 else 900)
            pod = daemon_pod(
                daemon, plan.name, site.free_pod_name(name, daemon["metadata"]["namespace"], plan.name)
            )
            address = machine.pod_address(len(name))
            site.store.create(
                PODS, {**pod, "status": running_status(pod, site.stamp(), machine.address, address)}
            )


def _found_workload(site: Site, workload: WorkloadPlan) -> None:
    template = _template(workload)
    replicas, labels = len(workload.nodes), {"app": workload.name}
    if workload.healthy_needed is not None:
        site.store.create(PDBS, _budget(workload, labels))
    metadata = {"name": workload.name, "namespace": workload.namespace, "labels": labels}
    if workload.kind == "Deployment":
        deployment = site.store.create(
            DEPLOYMENTS,
            {
                "metadata": metadata,
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
                "status": {**_replica_status(replicas), "updatedReplicas": replicas},
            },
        )
        hashed = template_hash(site.seed, template)
        owned = replica_set(deployment, hashed, replicas)
        owner = site.store.create(
            REPLICASETS, {**owned, "status": {**_replica_status(replicas), "fullyLabeledReplicas": replicas}}
        )
        _found_pods(site, workload, owner, "ReplicaSet", "apps/v1")
    elif workload.kind == "StatefulSet":
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        status = {**_replica_status(replicas), "currentReplicas": replicas, "updatedReplicas": replicas}
        owner = site.store.create(STATEFULSETS, {"metadata": metadata, "spec": spec, "status": status})
        _found_pods(site, workload, owner, "StatefulSet", "apps/v1")
    elif workload.kind == "Job":
        spec = {
            "parallelism": replicas,
            "completions": replicas,
            "completionMode": "Indexed",
            "backoffLimit": 100,
            "template": template,
        }
        status = {"active": replicas, "ready": replicas, "startTime": site.stamp()}
        owner = site.store.create(JOBS, {"metadata": metadata, "spec": spec, "status": status})
        _found_pods(site, workload, owner, "Job", "batch/v1")
    else:
        _found_pods(site, workload, {"spec": {"template": template}}, "", "")


def _found_pods(site: Site, workload: WorkloadPlan, owner: Json, kind: str, api_version: str) -> None:
    template, stamp = owner["spec"]["template"], site.stamp()
    spec = admitted_spec(template["spec"])
    reference = owner_reference(kind, api_version, owner) if kind else None
    for index, node in enumerate(workload.nodes):
        name, labels = _pod_identity(site, workload, owner, kind, index)
        pod = owned_pod(
            name, workload.namespace, template, reference or {}, labels, spec={**spec, "nodeName": node}
        )
        if reference is None:
            del pod["metadata"]["ownerReferences"]
        machine = site.hall.find(node, "")
        pod["status"] = running_status(pod, stamp, machine.address, machine.pod_address(100 + index))
        site.store.create(PODS, pod)


def _pod_identity(
    site: Site, workload: WorkloadPlan, owner: Json, kind: str, index: int
) -> tuple[str, dict[str, str]]:
    if kind == "Job":
        labels = {
            "batch.kubernetes.io/job-name": workload.name,
            "job-name": workload.name,
            "batch.kubernetes.io/controller-uid": owner["metadata"]["uid"],
            "batch.kubernetes.io/job-completion-index": str(index),
        }
        return site.free_pod_name(f"{workload.name}-{index}", workload.namespace), labels
    if kind == "StatefulSet":
        return f"{workload.name}-{index}", {"apps.kubernetes.io/pod-index": str(index)}
    if kind == "ReplicaSet":
        return site.free_pod_name(owner["metadata"]["name"], workload.namespace, index), {}
    return workload.name, {}


def _template(workload: WorkloadPlan) -> Json:
    resources: Json = {"requests": {"cpu": workload.cpu, "memory": workload.memory}}
    if workload.gpus:
        resources["requests"][GPU] = str(workload.gpus)
        resources["limits"] = {GPU: str(workload.gpus)}
    spec: Json = {
        "containers": [
            {
                "name": "main",
                "image": f"images.example/{workload.namespace}/{workload.name}:1",
                "resources": resources,
            }
        ],
        "restartPolicy": "Never" if workload.kind == "Job" else "Always",
        "terminationGracePeriodSeconds": 60 if workload.kind == "Job" else 30,
    }
    if workload.category:
        spec["nodeSelector"] = {"node.lab/category": workload.category}
    if workload.scratch:
        spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    return {
        "metadata": {
            "labels": {"app": workload.name},
            "annotations": {BUSY: f"{workload.busy:.3f}", "node.lab/owner": f"team-{workload.namespace}"},
        },
        "spec": spec,
    }


def _budget(workload: WorkloadPlan, labels: Json) -> Json:
    return {
        "metadata": {
            "name": f"{workload.name}-pdb",
            "namespace": workload.namespace,
            "labels": labels,
            "annotations": {"node.lab/owner": f"team-{workload.namespace}"},
        },
        "spec": {"minAvailable": workload.healthy_needed, "selector": {"matchLabels": labels}},
    }


def _replica_status(replicas: int) -> Json:
    return {
        "observedGeneration": 1,
        "replicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    }


def _namespace(name: str) -> Json:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _daemon(namespace: str, name: str, image: str) -> Json:
    labels = {"app": name}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": name,
                            "image": f"images.example/{image}",
                            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                        }
                    ],
                    "tolerations": _EVERYTHING,
                },
            },
        },
        "status": {},
    }
