"""Pods that are nodes of a Slurm cluster: slurmd as Slinky's slurm-operator and Soperator run it.

A pod is known by a label; the Slurm node is called as the pod's host is. Source: slurm-operator, `GetSlurmNodeName` (the node's
own name with hostNetwork, else spec.hostname, else the pod's name) and the label `nodeset.slinky.slurm.net/pod-hostname`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backends.kubernetes.pods import PodShape
from fleet.machine import JoinRule
from fleet.text import clean

_HOSTNAME = "nodeset.slinky.slurm.net/pod-hostname"
_LONGEST = 253


@dataclass(frozen=True, slots=True)
class SlurmdPods:
    """Which pods of a cluster are slurmd's: those with one of the `labels`, each `key` or `key=value`."""

    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: Iterable[JoinRule], source: str) -> SlurmdPods:
        """What the join rules of a source ask for."""
        return cls(tuple(rule.pod_label for rule in rules if rule.kubernetes == source and rule.pod_label))

    def node_of(self, pod: PodShape) -> str:
        """The Slurm node that a pod is; empty for one that is none."""
        if not self.labels or pod.spec is None or not any(self._carries(pod, label) for label in self.labels):
            return ""
        if pod.spec.host_network:
            return clean(pod.spec.node_name or "", _LONGEST)
        return clean(pod.labels.get(_HOSTNAME) or pod.spec.hostname or pod.metadata.name, _LONGEST)

    @staticmethod
    def _carries(pod: PodShape, label: str) -> bool:
        key, equals, value = label.partition("=")
        found = pod.labels.get(key)
        return found is not None and (not equals or found == value)
