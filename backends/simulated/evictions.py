"""Evicting a pod: a deletion that asks the PodDisruptionBudgets first.

The outcomes are those of the API server's eviction subresource. It knows nothing of DaemonSets or mirror pods:
leaving those alone is the client's part.
"""

from __future__ import annotations

from typing import Any

from backends.simulated.api_routes import Target
from backends.simulated.bodies import grace_period, is_dry, typed
from backends.simulated.deletions import Deleter
from backends.simulated.objects import Json, ObjectStore, Stored, timestamp
from backends.simulated.resources import PDBS, PODS
from backends.simulated.selectors import label_selector_admits
from backends.simulated.statuses import Refused, bad_request, cause, conflict, not_found, success
from fleet.ports import Clock

_PAST_BUDGETS = ("Pending", "Succeeded", "Failed")
_BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."


class Evictor:
    """Answers POSTs to `pods/NAME/eviction`."""

    def __init__(self, store: ObjectStore, clock: Clock, deleter: Deleter) -> None:
        self._store = store
        self._clock = clock
        self._deleter = deleter

    def evict(self, at: Target, body: Any, query: dict[str, str]) -> Json:
        """The Status of success (201). Refused: 404 gone, 409 another uid, 429 blocked, 500 two budgets."""
        eviction = typed(body, "Eviction", "policy/v1", "policy/v1beta1")
        if eviction["metadata"].get("name", at.name) != at.name:
            raise bad_request("name in URL does not match name in Eviction object")
        options = eviction.get("deleteOptions") or {}
        stored = self._store.stored(PODS, at.name, at.namespace)
        if stored is None:
            raise not_found(PODS, at.name)
        self._check_preconditions(at, options.get("preconditions") or {}, stored)
        dry = is_dry(query, options)
        if not _ignores_budgets(stored.object):
            self._spend(stored.object, dry=dry)
        if not dry:
            self._deleter.evict(stored, grace_period(options.get("gracePeriodSeconds")))
        return success(201)

    def _check_preconditions(self, at: Target, asked: Json, stored: Stored) -> None:
        metadata = stored.object["metadata"]
        if asked.get("uid") and asked["uid"] != metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {asked['uid']}, UID in object meta: {metadata['uid']}"
            raise conflict(PODS, at.name, why)
        if asked.get("resourceVersion") and asked["resourceVersion"] != metadata["resourceVersion"]:
            raise conflict(PODS, at.name)

    def _spend(self, pod: Json, *, dry: bool) -> None:
        """Take one disruption from the pod's budget, if it has one."""
        budgets = self._budgets(pod)
        if len(budgets) > 1:
            message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise Refused(500, "InternalError", message)
        if not budgets or _may_go_unready(budgets[0], pod):
            return
        budget = budgets[0]
        _check_budget(budget)
        if dry:
            return

        def spend(obj: Json) -> None:
            status = obj["status"]
            status["disruptionsAllowed"] -= 1
            status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = timestamp(self._clock.now())

        self._store.update(PDBS, budget["metadata"]["name"], spend, budget["metadata"]["namespace"])

    def _budgets(self, pod: Json) -> list[Json]:
        labels = pod["metadata"].get("labels") or {}
        budgets = self._store.list(PDBS, pod["metadata"]["namespace"])
        return [each for each in budgets if label_selector_admits(each["spec"].get("selector"), labels)]


def _ignores_budgets(pod: Json) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in _PAST_BUDGETS or bool(pod["metadata"].get("deletionTimestamp"))


def _may_go_unready(budget: Json, pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    if any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    wanted = status.get("desiredHealthy", 0)
    return bool(wanted) and status.get("currentHealthy", 0) >= wanted


def _check_budget(budget: Json) -> None:
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        message = f"The disruption budget {name} is still being processed by the server."
        raise _blocked(message, retry_after=10)
    if status.get("disruptionsAllowed", 0) <= 0:
        wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _blocked(
            f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
        )


def _blocked(why: str, retry_after: int | None = None) -> Refused:
    causes = [cause("DisruptionBudget", why)]
    return Refused(429, "TooManyRequests", _BLOCKED, details={"causes": causes}, retry_after=retry_after)
