"""From a request's method and path to what it asks of which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backends.simulated.resources import BY_CLAIMS, NAMESPACES, Resource, find


@dataclass(frozen=True, slots=True)
class Target:
    """One resource, or one object of it, or one subresource of that; an empty text where there is none."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def scope(self) -> str | None:
        """The namespace to list, or None for all of them."""
        return self.namespace or None

    @property
    def permission(self) -> str:
        """The resource as permissions name it: `nodes`, `pods/eviction`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


@dataclass(frozen=True, slots=True)
class Place:
    """A path under `/api` or `/apis`, cut into group, version and what follows them."""

    group: str
    version: str
    rest: Sequence[str]


def place(path: str) -> Place | None:
    """The group and version of a path, or None where it is not one of the API's."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            return Place("", version, rest)
        case ["apis", group, version, *rest]:
            return Place(group, version, rest)
        case _:
            return None


def as_kept(at: Place) -> Place:
    """The place where objects are kept that may be served in another version."""
    kept = BY_CLAIMS[0]
    return replace(at, version=kept.version) if at.group == kept.group else at


def target(at: Place) -> Target | None:
    """What a path names, or None where no resource is served there."""
    match at.rest:
        case ["namespaces", namespace, plural, *rest] if plural not in ("status", "finalize"):
            return _target(at, namespace, plural, rest)
        case [plural, *rest]:
            return _target(at, "", plural, rest)
        case _:
            return None


def _target(at: Place, namespace: str, plural: str, rest: Sequence[str]) -> Target | None:
    resource = find(at.group, at.version, plural)
    if resource is None or len(rest) > 2 or (namespace and not resource.namespaced):
        return None
    if rest and resource.namespaced and not namespace:
        return None
    name, subresource = (*rest, "", "")[:2]
    if subresource not in _subresources(resource):
        return None
    return Target(resource, namespace, name, subresource)


def _subresources(resource: Resource) -> Sequence[str]:
    status = ("status",) if resource.has_status else ()
    return ("", *status, *(("eviction", "log") if resource.plural == "pods" else ()))


def verb(method: str, at: Target, *, watch: bool) -> str | None:
    """The verb that permissions know for a method, or None where the method is not allowed there."""
    if at.subresource == "eviction":
        return "create" if method == "POST" else None
    if at.subresource == "log":
        return "get" if method == "GET" else None
    if at.name:
        return {
            "GET": "get",
            "PUT": "update",
            "PATCH": "patch",
            "DELETE": None if at.subresource else "delete",
        }.get(method)
    if method == "DELETE":
        return None if at.resource is NAMESPACES else "deletecollection"
    if method == "GET":
        return "watch" if watch else "list"
    return "create" if method == "POST" else None
