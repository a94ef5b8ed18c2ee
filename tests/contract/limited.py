"""Takes a right away from us: the simulator refuses it, and on a real cluster we go on as a user of the operator's role without it.

That user is nobody's: the lent one stands in for it (impersonation), under a role and a binding of the test's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backends.kubernetes.actions import KubernetesWriter
from backends.kubernetes.connection import Api
from backends.kubernetes.node_keys import NodeKeys
from backends.kubernetes.reader import KubernetesReader
from fleet.errors import Denied
from tests.contract.orchestrator import Json, Orchestrator

RBAC = "rbac.authorization.k8s.io"
LOOK = ("get", "list", "watch")
RIGHTS = (
    ("", "nodes", (*LOOK, "patch", "create", "delete")),
    ("", "pods", LOOK),
    ("", "pods/eviction", ("create",)),
    ("", "namespaces", LOOK),
    ("policy", "poddisruptionbudgets", LOOK),
    ("apps", "daemonsets", ("get", "list")),
)
"""What the role quarterdeck-operator allows."""


async def deny(orchestrator: Orchestrator, *denied: tuple[str, str]) -> None:
    """From now on we may not do these (verb, resource).. Skips where the lent user may not stand in for others."""
    if orchestrator.simulation is not None:
        for verb, resource in denied:
            orchestrator.simulation.api.deny(verb, resource)
        return
    assert orchestrator.access is not None
    name = orchestrator.unique("limited")
    try:
        await _bind(orchestrator, name, list(_rules(denied)))
    except Denied as error:
        pytest.skip(f"the lent user may make no role: {error}")
    user = replace(orchestrator.access.user, impersonating=(("Impersonate-User", name),))
    access = replace(orchestrator.access, user=user, again=None)
    api = Api(access, source=orchestrator.source, clock=orchestrator.clock, environ=os.environ)
    orchestrator.closes(api)
    orchestrator.reader = KubernetesReader(api, NodeKeys())
    orchestrator.writer = KubernetesWriter(api, orchestrator.reader, orchestrator.clock)
    await _until_known(orchestrator, api)


async def _bind(orchestrator: Orchestrator, name: str, rules: list[Json]) -> None:
    head: Json = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": name}}
    await orchestrator.make(f"/apis/{RBAC}/v1/clusterroles", {**head, "kind": "ClusterRole", "rules": rules})
    binding = {
        **head,
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": name}],
    }
    await orchestrator.make(f"/apis/{RBAC}/v1/clusterrolebindings", binding)


def _rules(denied: tuple[tuple[str, str], ...]) -> Iterator[Json]:
    for group, resource, verbs in RIGHTS:
        left = [verb for verb in verbs if (verb, resource) not in denied]
        if left:
            yield {"apiGroups": [group], "resources": [resource], "verbs": left}


async def _until_known(orchestrator: Orchestrator, api: Api) -> None:
    """Wait until the API server has read the role, which it does a moment after it was made."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"resourceAttributes": {"verb": "watch", "resource": "nodes"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": asked}

    async def known() -> bool:
        answer = json.loads(await api.send("POST", path, json.dumps(review).encode()))
        return answer["status"]["allowed"] is True

    await orchestrator.settle(known, "the role is known")
