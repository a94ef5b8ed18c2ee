"""The disruption controller: how many pods of each PodDisruptionBudget may go now.

A new or changed budget is counted after a moment, as in a real cluster, and evictions under it have to wait until then. A
counted one follows its pods at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from backends.simulated.objects import JOBS, PDBS, PODS, REPLICASETS, STATEFULSETS, Event, Json
from backends.simulated.placement import selects
from backends.simulated.pod_shapes import controller_of, is_ready, phase_of
from backends.simulated.site import Site, condition

_COUNT_SECONDS = 0.2
_SCALES = {
    "ReplicaSet": (REPLICASETS, "replicas"),
    "StatefulSet": (STATEFULSETS, "replicas"),
    "Job": (JOBS, "parallelism"),
}
Key = tuple[str, str]


class Budgets:
    """Every budget with the pods it covers, found by one label of its selector."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._selectors: dict[Key, Json] = {}
        self._by_label: dict[tuple[str, str, str], set[Key]] = {}
        self._unlabelled: dict[str, set[Key]] = {}
        self._pods: dict[Key, dict[str, bool]] = {}

    def covering(self, pod: Json) -> list[Key]:
        """The budgets over a pod, as (namespace, name) in order."""
        metadata = pod["metadata"]
        labels, namespace = metadata.get("labels") or {}, metadata["namespace"]
        candidates = set(self._unlabelled.get(namespace, ()))
        for label in labels.items():
            candidates |= self._by_label.get((namespace, *label), set())
        return sorted(key for key in candidates if selects(self._selectors[key], labels))

    def on_budget(self, event: Event) -> None:
        """Follow a budget that came, changed or went."""
        metadata = event.object["metadata"]
        key = (metadata["namespace"], metadata["name"])
        spec = event.object.get("spec") or {}
        if event.type == "MODIFIED" and event.previous and spec == event.previous.object.get("spec"):
            return
        self._forget(key)
        if event.type == "DELETED":
            return
        selector = spec.get("selector")
        if selector is not None:
            self._remember(key, selector)
        if self._site.live:
            self._site.agenda.after(_COUNT_SECONDS, lambda: self._count(key, observe=True))

    def found_all(self) -> None:
        """Count every budget of the fleet's past."""
        for key in list(self._selectors):
            self._count(key, observe=True)

    def on_pod(self, event: Event) -> None:
        """Count a pod in or out of the budgets over it."""
        pod = event.object
        metadata = pod["metadata"]
        before = event.previous.object if event.previous else None
        covering = self.covering(pod)
        keys = set(covering)
        if before is not None and before["metadata"].get("labels") != metadata.get("labels"):
            keys |= set(self.covering(before))
        for key in sorted(keys):
            pods = self._pods[key]
            was = pods.get(metadata["name"])
            gone = event.type == "DELETED" or key not in covering or not _counts(pod)
            if gone:
                pods.pop(metadata["name"], None)
            else:
                pods[metadata["name"]] = _healthy(pod)
            if self._site.live and was != pods.get(metadata["name"]):
                self._count(key, observe=False)

    def _remember(self, key: Key, selector: Json) -> None:
        self._selectors[key] = selector
        label = next(iter((selector.get("matchLabels") or {}).items()), None)
        if label is None:
            self._unlabelled.setdefault(key[0], set()).add(key)
        else:
            self._by_label.setdefault((key[0], *label), set()).add(key)
        self._pods[key] = {
            pod["metadata"]["name"]: _healthy(pod)
            for pod in (self._site.store.list(PODS, key[0]) if self._site.live else ())
            if selects(selector, pod["metadata"].get("labels") or {}) and _counts(pod)
        }

    def _forget(self, key: Key) -> None:
        if key not in self._selectors:
            return
        for keys in (*self._by_label.values(), *self._unlabelled.values()):
            keys.discard(key)
        self._selectors.pop(key, None)
        self._pods.pop(key, None)

    def _count(self, key: Key, *, observe: bool) -> None:
        budget = self._site.store.get(PDBS, key[1], key[0])
        if budget is None:
            return
        counted = (budget.get("status") or {}).get("observedGeneration")
        generation = budget["metadata"].get("generation", 1)
        if not observe and counted != generation:
            return
        pods = self._pods.get(key, {})
        healthy = sum(pods.values())
        expected, needed = self._needs(budget, key, pods)
        allowed = max(0, healthy - needed) if expected else 0
        stamp = self._site.stamp()

        def write(copy: Json) -> None:
            before = {each["type"]: each for each in copy.get("status", {}).get("conditions") or ()}
            copy["status"] = {
                "conditions": [
                    condition(
                        "DisruptionAllowed",
                        "True" if allowed else "False",
                        "SufficientPods" if allowed else "InsufficientPods",
                        "",
                        stamp,
                        before.get("DisruptionAllowed"),
                    )
                ],
                "currentHealthy": healthy,
                "desiredHealthy": needed,
                "disruptionsAllowed": allowed,
                "expectedPods": expected,
                "observedGeneration": generation,
            }

        self._site.store.update(PDBS, key[1], write, key[0])

    def _needs(self, budget: Json, key: Key, pods: Iterable[str]) -> tuple[int, int]:
        """How many pods are expected and how many of them must stay healthy.

        As the disruption controller: a plain minAvailable expects the pods that are there, anything else the owners' scale.
        """
        spec, names = budget.get("spec") or {}, list(pods)
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if most is not None:
            expected = self._scale(key[0], names)
            return expected, max(0, expected - _share(most, expected))
        if isinstance(least, int):
            return len(names), least
        expected = self._scale(key[0], names)
        return expected, _share(least, expected)

    def _scale(self, namespace: str, names: Iterable[str]) -> int:
        owners: dict[str, int] = {}
        for name in names:
            pod = self._site.store.get(PODS, name, namespace)
            reference = controller_of(pod) if pod else None
            if reference is None or reference["kind"] not in _SCALES:
                continue
            resource, field = _SCALES[reference["kind"]]
            owner = self._site.store.get(resource, reference["name"], namespace)
            scale = owner["spec"].get(field) if owner else 0
            owners[reference["uid"]] = 1 if scale is None else scale
        return sum(owners.values())


def _share(value: object, of: int) -> int:
    """A count, or a percentage rounded up as Kubernetes does; 0 for what is neither."""
    if isinstance(value, int):
        return value
    try:
        return math.ceil(of * float(str(value).removesuffix("%")) / 100)
    except (ValueError, OverflowError):
        return 0


def _counts(pod: Json) -> bool:
    return phase_of(pod) not in ("Succeeded", "Failed")


def _healthy(pod: Json) -> bool:
    return is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
