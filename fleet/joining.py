"""Finds out which series belong to which node.

Exporters and scrape rules name a node in many ways: `Hostname` (until May 2026) or `hostname`, a relabelled `node`, an
`instance` with its port, the short or the full name, `localhost`, or a pod's name. So the label that joins is found by
trying, what fits two nodes joins none, and what is left over on both sides is kept for `doctor` to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.node import NodeKey

CANDIDATES = (
    *("Hostname", "hostname", "node", "nodename", "kubernetes_node", "node_name", "host"),
    *("exported_Hostname", "exported_hostname", "exported_node", "exported_nodename", "exported_host"),
    *("instance", "exported_instance"),
)
"""Labels that may name a node, the likeliest first."""

_PORT = re.compile(r"\A(?:\[([^\]]+)\]|([^:\[\]]+)):\d+\Z")
_ADDRESS = re.compile(r"\A(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:.]*)\Z")
_LOOPBACK = re.compile(r"\A(?:localhost(?:\.localdomain)?|127(?:\.\d{1,3}){3}|::1|0\.0\.0\.0)\Z")


@dataclass(frozen=True, slots=True)
class Join:
    """Which series name each node has, and what is left over on both sides (sorted)."""

    names: Mapping[NodeKey, str]
    unjoined_names: tuple[str, ...] = ()
    unjoined_nodes: tuple[NodeKey, ...] = ()


def host_of(value: str) -> str:
    """The host a label's value names: lower case, without port, brackets or a final dot. Empty for loopback."""
    value = value.strip().lower()
    ported = _PORT.match(value)
    host = (ported[1] or ported[2] if ported else value.strip("[]")).rstrip(".")
    return "" if _LOOPBACK.match(host) else host


class NodeNames:
    """The nodes of a fleet by every way their names may be written."""

    def __init__(self, nodes: Iterable[NodeKey]) -> None:
        self._full: dict[str, list[NodeKey]] = {}
        self._short: dict[str, set[str]] = {}
        for key in nodes:
            host = host_of(key.name)
            if host:
                self._full.setdefault(host, []).append(key)
        for host in self._full:
            self._short.setdefault(_short(host), set()).add(host)

    def __bool__(self) -> bool:
        return bool(self._full)

    def exact(self, value: str) -> Sequence[NodeKey]:
        """Nodes of exactly this name: one a source, since a machine may be in two sources."""
        return self._full.get(host_of(value), ())

    def find(self, value: str) -> Sequence[NodeKey]:
        """Nodes that a label's value names, whole or by the short name; none where it fits more than one machine."""
        host = host_of(value)
        found = self._full.get(host)
        if found:
            return found
        short = _short(host)
        alike = self._short.get(short, set()) if host else set()
        if host == short or _ADDRESS.match(host):
            return self._full[next(iter(alike))] if len(alike) == 1 else ()
        return self._full.get(short, ())


def join(names: Collection[str], nodes: Collection[NodeKey]) -> Join:
    """Give each node its series' name. An exact name goes before a short one; two equally good ones join nobody."""
    known = NodeNames(nodes)
    joined: dict[NodeKey, str] = {key: name for name in sorted(names) for key in known.exact(name)}
    loose: dict[NodeKey, list[str]] = {}
    for name in names:
        if not known.exact(name):
            for key in known.find(name):
                loose.setdefault(key, []).append(name)
    for key, claims in loose.items():
        if key not in joined and len(claims) == 1:
            joined[key] = claims[0]
    used = set(joined.values())
    return Join(
        joined,
        tuple(sorted(name for name in names if name not in used)),
        tuple(sorted(key for key in nodes if key not in joined)),
    )


def choose_labels(rows: Sequence[Mapping[str, str]], nodes: NodeNames) -> tuple[str, ...]:
    """The fewest labels that name the nodes of the most rows, best first; empty where no row has any.

    `rows` are label sets of one sample of each exporter. Before any node is known, a label counts by whether it could be a
    node's name at all.
    """
    joins = _greedy(rows, lambda row, label: bool(nodes.find(row.get(label, "")))) if nodes else ()
    return joins or _greedy(rows, could_name_a_node)


def could_name_a_node(labels: Mapping[str, str], label: str) -> bool:
    """Whether the label's value could be a node's: there, not this machine's loopback, and not the exporter's own pod."""
    value = labels.get(label, "")
    pods = (labels.get("pod"), labels.get("exported_pod"))
    return bool(host_of(value)) and value not in pods and "dcgm-exporter" not in value


def name_in(labels: Mapping[str, str], chosen: Sequence[str], nodes: NodeNames) -> str:
    """The host that a series names: by the first chosen label that joins a node, else by the first that could name one."""
    for label in chosen:
        if nodes.find(labels.get(label, "")):
            return host_of(labels[label])
    return next((host_of(labels[label]) for label in chosen if could_name_a_node(labels, label)), "")


def _greedy(
    rows: Sequence[Mapping[str, str]], names: Callable[[Mapping[str, str], str], bool]
) -> tuple[str, ...]:
    left, chosen = list(rows), list[str]()
    while left:
        counts = {label: sum(names(row, label) for row in left) for label in CANDIDATES}
        best = max(CANDIDATES, key=counts.__getitem__)  # the first of equals
        if not counts[best]:
            break
        chosen.append(best)
        left = [row for row in left if not names(row, best)]
    return tuple(chosen)


def _short(host: str) -> str:
    """The first part of a name; of an address, the name that EC2 gives its node."""
    if _ADDRESS.match(host):
        return "ip-" + host.replace(".", "-") if "." in host else host
    return host.partition(".")[0]
