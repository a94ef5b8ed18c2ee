"""Who may do what on the simulated cluster: everything, less what was taken away.

The same list decides requests (403) and answers SelfSubjectAccessReview and SelfSubjectRulesReview, so that what a
client was told beforehand is what it meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backends.simulated.objects import Json
from backends.simulated.resources import NODES, PODS, RESOURCES
from backends.simulated.statuses import bad_request

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
USER = "simulated-operator"


class Permissions:
    """Denials by verb and resource, where a resource is `nodes` or, with its subresource, `pods/eviction`.

    `*` stands for every verb or every resource.
    """

    def __init__(self) -> None:
        self._denied: set[tuple[str, str]] = set()

    def deny(self, verb: str, resource: str) -> None:
        """Take one permission away."""
        self._denied.add((verb, resource))

    def allow(self, verb: str, resource: str) -> None:
        """Give back what was taken away with the same words."""
        self._denied.discard((verb, resource))

    def allows(self, verb: str, resource: str) -> bool:
        """Whether `verb` may be done to `resource`."""
        asked = ((each, what) for each in (verb, "*") for what in (resource, "*"))
        return not any(each in self._denied for each in asked)

    def access_review(self, review: Json) -> Json:
        """SelfSubjectAccessReview with its `status`; a refusal carries no reason, as RBAC gives none."""
        spec = review.get("spec") or {}
        asked: Mapping[str, str] = spec.get("resourceAttributes") or {}
        resource = asked.get("resource", "*")
        if subresource := asked.get("subresource"):
            resource = f"{resource}/{subresource}"
        allowed = self.allows(asked.get("verb", "*"), resource)
        told = {"allowed": True, "reason": "simulated"} if allowed else {"allowed": False}
        return {**review, "metadata": {}, "status": told}

    def rules_review(self, review: Json) -> Json:
        """SelfSubjectRulesReview with its `status`; refused (400) where the spec names no namespace."""
        if not (review.get("spec") or {}).get("namespace"):
            raise bad_request("no namespace on request")
        addresses = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version"]}
        found = {"resourceRules": list(self._rules()), "nonResourceRules": [addresses], "incomplete": False}
        return {**review, "metadata": {}, "status": found}

    def _rules(self) -> Iterator[Json]:
        if not self._denied:
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return
        known: list[tuple[str, str, tuple[str, ...]]] = [
            (each.group, each.plural, VERBS) for each in RESOURCES
        ]
        known += [("", f"{each.plural}/status", ("get", "patch", "update")) for each in (NODES, PODS)]
        others = [("", "pods/eviction", ("create",)), ("", "pods/log", ("get",))]
        for group, name, served in [*known, *others]:
            verbs = [verb for verb in served if self.allows(verb, name)]
            if verbs:
                yield {"verbs": verbs, "apiGroups": [group], "resources": [name]}
