"""Whether we may do a verb, asked of the API server itself, one access review for each right that the verb needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from backends.kubernetes.connection import Api
from backends.kubernetes.together import together
from fleet.errors import Denied, Missing, OutcomeUnknown, Rejected
from fleet.plan import Permission, Verb

_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Right(NamedTuple):
    """One thing that RBAC allows or not, everywhere in the cluster or in one namespace."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""

    @property
    def named(self) -> str:
        """The resource as RBAC names it: `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


_PATCH = Right("patch", "nodes")
_MAKE = (Right("create", "nodes"), Right("get", "nodes"))
_REMOVE = Right("delete", "nodes")
_MOVE = (_PATCH, Right("list", "pods"), Right("create", "pods", subresource="eviction"))

NEEDED: Mapping[Verb, Sequence[Right]] = {
    Verb.GATE: (_PATCH,),
    Verb.CORDON: (_PATCH,),
    Verb.UNCORDON: (_PATCH,),
    Verb.DRAIN: _MOVE,
    Verb.REIMAGE: (*_MOVE, _REMOVE, *_MAKE),
    Verb.RETIRE: (*_MOVE, _REMOVE),
    Verb.PROVISION: _MAKE,
}


class _Answer(msgspec.Struct):
    class _Status(msgspec.Struct):
        allowed: bool = False

    status: _Status | None = None


async def allowed(api: Api, verbs: Sequence[Verb]) -> Mapping[Verb, Permission]:
    """Whether each verb is permitted; UNKNOWN where a review is refused or says nothing. Raises FleetError."""
    rights = tuple(dict.fromkeys(right for verb in verbs for right in NEEDED[verb]))
    answers = dict(zip(rights, await together(_review(api, right) for right in rights), strict=True))
    return {verb: _sum(answers[right] for right in NEEDED[verb]) for verb in verbs}


async def refused(api: Api, rights: Sequence[Right]) -> Sequence[Right]:
    """The rights that are denied for sure. Raises FleetError."""
    answers = await together(_review(api, right) for right in rights)
    return [right for right, answer in zip(rights, answers, strict=True) if answer is Permission.DENIED]


def _sum(answers: Iterable[Permission]) -> Permission:
    found = set(answers)
    for worst in (Permission.DENIED, Permission.UNKNOWN):
        if worst in found:
            return worst
    return Permission.ALLOWED


async def _review(api: Api, right: Right) -> Permission:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
    }
    if right.namespace:
        attributes["namespace"] = right.namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        answer = msgspec.json.decode(await api.send("POST", _PATH, msgspec.json.encode(body)), type=_Answer)
    except (Denied, Missing, Rejected, OutcomeUnknown, msgspec.DecodeError, UnicodeDecodeError):
        return Permission.UNKNOWN
    if answer.status is None:
        return Permission.UNKNOWN
    return Permission.ALLOWED if answer.status.allowed else Permission.DENIED
