"""The workload controllers: Deployments, ReplicaSets, StatefulSets and Jobs keep as many pods as they should have.

Each is a function of the store: what is there, what should be, the difference done. A Deployment whose template changes gets a
new ReplicaSet at once; rolling updates are not simulated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from backends.simulated.chance import suffix
from backends.simulated.objects import DEPLOYMENTS, JOBS, PODS, REPLICASETS, STATEFULSETS, Json, Resource
from backends.simulated.pod_shapes import is_live, is_ready, owned_pod, owner_reference, phase_of
from backends.simulated.site import Site, condition, condition_of

HASH = "pod-template-hash"
_INDEX = "batch.kubernetes.io/job-completion-index"
_BACKOFF_LIMIT = 6


def template_hash(seed: int, template: Json) -> str:
    """The hash that names a Deployment's ReplicaSet."""
    return suffix(seed, "template", json.dumps(template, sort_keys=True), length=10)


def keep_deployment(site: Site, deployment: Json, owned: Sequence[Json]) -> None:
    """One ReplicaSet of the present template with all replicas, the others with none; and the status."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    wanted, hashed = _count(spec, "replicas", 1), template_hash(site.seed, spec["template"])
    name = f"{metadata['name']}-{hashed}"
    current = site.store.get(REPLICASETS, name, metadata["namespace"])
    if current is None:
        site.store.create(REPLICASETS, replica_set(deployment, hashed, wanted))
    for each in owned:
        replicas = wanted if each["metadata"]["name"] == name else 0
        if each["spec"].get("replicas") != replicas:
            _scale(site, each, replicas)
    statuses = [each.get("status") or {} for each in owned]
    ready = sum(status.get("readyReplicas", 0) for status in statuses)
    there = sum(status.get("replicas", 0) for status in statuses)
    updated = (current or {}).get("status", {}).get("replicas", 0)
    available, stamp = ready >= wanted, site.stamp()

    def write(copy: Json) -> None:
        before = {each["type"]: each for each in copy.get("status", {}).get("conditions") or ()}
        copy["status"] = {
            "observedGeneration": metadata.get("generation", 1),
            "replicas": there,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
            "conditions": [
                condition(
                    "Available",
                    "True" if available else "False",
                    "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
                    f"Deployment {'has' if available else 'does not have'} minimum availability.",
                    stamp,
                    before.get("Available"),
                )
            ],
        }

    site.store.update(DEPLOYMENTS, metadata["name"], write, metadata["namespace"])


def replica_set(deployment: Json, hashed: str, replicas: int) -> Json:
    """The ReplicaSet of a Deployment's present template."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    labels = {**(template.get("metadata", {}).get("labels") or {}), HASH: hashed}
    return {
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference("Deployment", "apps/v1", deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
        },
        "status": {},
    }


def _scale(site: Site, replica_set: Json, replicas: int) -> None:
    metadata = replica_set["metadata"]
    site.store.update(
        REPLICASETS,
        metadata["name"],
        lambda copy: copy["spec"].update(replicas=replicas),
        metadata["namespace"],
    )


def keep_replica_set(site: Site, owner: Json, pods: Sequence[Json]) -> None:
    """As many live pods as replicas, pending and young ones going first; and the status."""
    live = [pod for pod in pods if is_live(pod)]
    missing = _count(owner["spec"], "replicas", 1) - len(live)
    for _ in range(missing):
        metadata = owner["metadata"]
        name = site.free_pod_name(metadata["name"], metadata["namespace"], site.store.version)
        site.store.create(PODS, _pod_of(owner, name, "ReplicaSet", "apps/v1"))
    surplus = sorted(live, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))
    for pod in surplus[: max(0, -missing)]:
        site.end_pod(pod)
    ready = sum(is_ready(pod) for pod in live)
    count = len(live) + missing
    status = {
        "observedGeneration": owner["metadata"].get("generation", 1),
        "replicas": count,
        "fullyLabeledReplicas": count,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    _write_status(site, REPLICASETS, owner, status)


def keep_stateful_set(site: Site, owner: Json, pods: Sequence[Json]) -> None:
    """Pods by ordinal; a name comes back only once the old pod of that name is gone."""
    metadata, replicas = owner["metadata"], _count(owner["spec"], "replicas", 1)
    there = {pod["metadata"]["name"]: pod for pod in pods}
    names = [f"{metadata['name']}-{ordinal}" for ordinal in range(replicas)]
    for ordinal, name in enumerate(names):
        pod = there.get(name)
        if pod is None and site.store.get(PODS, name, metadata["namespace"]) is None:
            labels = {
                "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": str(ordinal),
            }
            site.store.create(PODS, _pod_of(owner, name, "StatefulSet", "apps/v1", labels))
        elif pod is not None and phase_of(pod) in ("Succeeded", "Failed"):
            site.store.delete(PODS, name, metadata["namespace"])
    for name in sorted(set(there) - set(names)):
        site.end_pod(there[name])
    ready = sum(is_ready(pod) for pod in pods if is_live(pod))
    status = {
        "observedGeneration": metadata.get("generation", 1),
        "replicas": replicas,
        "currentReplicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    _write_status(site, STATEFULSETS, owner, status)


def has_ended(job: Json) -> bool:
    """Whether a Job is complete, or has failed."""
    return any(
        each.get("status") == "True" and each.get("type") in ("Complete", "Failed")
        for each in (job.get("status") or {}).get("conditions") or ()
    )


def keep_job(site: Site, job: Json, pods: Sequence[Json], *, out_of_time: bool = False) -> None:
    """Pods until enough have succeeded; a pod taken away is replaced at once. And the status.

    One that is out of time loses its pods, and has failed once they are gone (Kubernetes 1.31 and later, "Job", termination).
    """
    spec, status = job["spec"], job.get("status") or {}
    succeeded = sum(phase_of(pod) == "Succeeded" for pod in pods)
    failed = sum(phase_of(pod) == "Failed" for pod in pods)
    live = [pod for pod in pods if is_live(pod)]
    parallel = 0 if spec.get("suspend") else _count(spec, "parallelism", 1)
    completions = spec.get("completions") or (None if spec.get("parallelism") is not None else 1)
    gave_up = failed > _count(spec, "backoffLimit", _BACKOFF_LIMIT)
    done = succeeded >= completions if completions else succeeded > 0 and not live
    over = done or gave_up or out_of_time
    wanted = 0 if over else min(parallel, (completions or parallel + succeeded) - succeeded)
    for _ in range(wanted - len(live)):
        _add_job_pod(site, job, completions or parallel)
    for pod in live[wanted:] if len(live) > wanted else ():
        site.end_pod(pod)
    stamp = site.stamp()
    fresh: Json = {
        "active": wanted,
        "ready": sum(is_ready(pod) for pod in live),
        "startTime": status.get("startTime", stamp),
    }
    if succeeded:
        fresh["succeeded"] = succeeded
    if failed:
        fresh["failed"] = failed
    if done:
        fresh["completionTime"] = stamp
        fresh["conditions"] = [condition("Complete", "True", "CompletionsReached", "", stamp, None)]
    elif gave_up:
        message = "Job has reached the specified backoff limit"
        fresh["conditions"] = [condition("Failed", "True", "BackoffLimitExceeded", message, stamp, None)]
    elif out_of_time:
        fresh["conditions"] = _out_of_time(site, job, pods, stamp)
    _write_status(site, JOBS, job, fresh)


def _out_of_time(site: Site, job: Json, pods: Sequence[Json], stamp: str) -> list[Json]:
    """The conditions of a Job that ran for longer than it may."""
    message, reason = "Job was active longer than specified deadline", "DeadlineExceeded"
    pods_left = any(phase_of(pod) in ("Pending", "Running") for pod in pods)
    kinds = ("FailureTarget",) if pods_left else ("FailureTarget", "Failed")
    if condition_of(job, "FailureTarget") is None:
        site.tell(JOBS, job, reason, message, source="job-controller", warning=True)
    return [condition(kind, "True", reason, message, stamp, condition_of(job, kind)) for kind in kinds]


def _add_job_pod(site: Site, job: Json, indexes: int) -> None:
    metadata = job["metadata"]
    labels = {
        "batch.kubernetes.io/job-name": metadata["name"],
        "job-name": metadata["name"],
        "batch.kubernetes.io/controller-uid": metadata["uid"],
    }
    base = metadata["name"]
    if job["spec"].get("completionMode") == "Indexed":
        index = _free_index(site, job, indexes)
        labels[_INDEX] = str(index)
        base = f"{base}-{index}"
    name = site.free_pod_name(base, metadata["namespace"], site.store.version)
    site.store.create(PODS, _pod_of(job, name, "Job", "batch/v1", labels))


def _free_index(site: Site, job: Json, indexes: int) -> int:
    """The lowest completion index that no live or finished pod has."""
    uid = job["metadata"]["uid"]
    taken = {
        (pod["metadata"].get("labels") or {}).get(_INDEX)
        for pod in site.store.list(PODS, job["metadata"]["namespace"])
        if any(each.get("uid") == uid for each in pod["metadata"].get("ownerReferences") or ())
        and (is_live(pod) or phase_of(pod) == "Succeeded")
    }
    return next((index for index in range(indexes) if str(index) not in taken), indexes)


def _pod_of(owner: Json, name: str, kind: str, api_version: str, labels: Json | None = None) -> Json:
    reference = owner_reference(kind, api_version, owner)
    return owned_pod(name, owner["metadata"]["namespace"], owner["spec"]["template"], reference, labels)


def _count(spec: Json, field: str, default: int) -> int:
    """A count of a spec, where null means the default as absence does."""
    value = spec.get(field)
    return default if value is None else int(value)


def _write_status(site: Site, resource: Resource, owner: Json, status: Json) -> None:
    metadata = owner["metadata"]
    if owner.get("status") != status:
        site.store.update(
            resource, metadata["name"], lambda copy: copy.update(status=status), metadata["namespace"]
        )
