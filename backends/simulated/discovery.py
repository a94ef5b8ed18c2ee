"""What the API server says of itself: versions, groups, and the resources of each group.

kubectl decides by these documents whether it may evict: without `pods/eviction` among the resources of `v1` its
drain deletes pods instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.simulated.objects import Json
from backends.simulated.permissions import VERBS
from backends.simulated.resources import BY_CLAIMS, PODS, RESOURCES, Resource, group_versions

_REVIEWS = {
    "authorization.k8s.io": ("SelfSubjectAccessReview", "SelfSubjectRulesReview"),
    "authentication.k8s.io": ("SelfSubjectReview",),
}
VERSION: Json = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0+simulated",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-08-27T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


def document(path: str, host: str, *, claims: str = "") -> Json | None:
    """The discovery document at `path`, or None where there is none; `host` is the server's own address.

    `claims` is the version in which the group of resource claims is served, where it is.
    """
    groups = _groups(claims)
    match path.strip("/").split("/"):
        case ["version"]:
            return VERSION
        case ["api"]:
            addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
        case ["apis"]:
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(*each) for each in groups],
            }
        case ["apis", name]:
            found = [_group(*each) for each in groups if each[0] == name]
            return {"kind": "APIGroup", "apiVersion": "v1", **found[0]} if found else None
        case ["api", "v1"]:
            return _resources("", "v1")
        case ["apis", name, version] if (name, version) in groups:
            return _resources(name, version)
        case _:
            return None


def serves(group: str, version: str, *, claims: str = "") -> bool:
    """Whether that group and version exist here."""
    return (group, version) == ("", "v1") or (group, version) in _groups(claims)


def _groups(claims: str) -> list[tuple[str, str]]:
    found = [each for each in group_versions() if each[0]] + [(each, "v1") for each in _REVIEWS]
    return [*found, (BY_CLAIMS[0].group, claims)] if claims else found


def _group(name: str, version: str) -> Json:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> Json:
    named = f"{group}/{version}" if group else version
    rows = [
        row
        for each in (*RESOURCES, *BY_CLAIMS)
        if each.group == group and (each.version == version or each in BY_CLAIMS)
        for row in _rows(each)
    ]
    rows += [_review(kind) for kind in _REVIEWS.get(group, ())]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": rows}


def _rows(resource: Resource) -> Iterator[Json]:
    row = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
    }
    short = {"shortNames": list(resource.short_names)} if resource.short_names else {}
    # The members of `kubectl get all`.
    grouped = {"categories": ["all"]} if resource is PODS or resource.group in ("apps", "batch") else {}
    yield {**row, "verbs": list(VERBS), **short, **grouped}
    unnamed = {**row, "singularName": ""}
    if resource is PODS:
        eviction = {"group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]}
        yield {**unnamed, "name": "pods/eviction", **eviction}
        yield {**unnamed, "name": "pods/log", "kind": "Pod", "verbs": ["get"]}
    if resource.has_status:
        yield {**unnamed, "name": f"{resource.plural}/status", "verbs": ["get", "patch", "update"]}


def _review(kind: str) -> Json:
    plural = f"{kind.lower()}s"
    return {
        "name": plural,
        "singularName": kind.lower(),
        "namespaced": False,
        "kind": kind,
        "verbs": ["create"],
    }
