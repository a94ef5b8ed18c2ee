"""Active checks of a machine of two sources: each runs once, on Slurm's side, with both sides closed and nothing on either's GPUs.

Slurm's side, because slurmd has the GPUs: where it runs in a pod that pod holds them, and a Job would wait for them for ever; where
it runs beside the kubelet both count the same GPUs, and of the two Slurm alone lets one user in and keeps all others out meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fleet.active_checks import asked
from fleet.category import Category
from fleet.check_catalogue import is_active
from fleet.diagnosing import Diagnosing
from fleet.node import Admission, NodeKey
from fleet.plan import NodeFacts, Step


@dataclass(frozen=True, slots=True)
class MachineDiagnosing(Diagnosing):
    """Does the active checks of a machine. `sides` are both its nodes, Slurm's first."""

    sides: tuple[NodeKey, ...] = ()

    async def _facts(self, step: Step) -> NodeFacts | None:
        """Slurm's side as the machine: open where either side is, with what holds GPUs on the other; None where either is gone."""
        found = await self.performer.patiently(lambda: self.reader.read(self.sides), step)
        slurm, kubernetes = (found.get(side) for side in self.sides)
        if slurm is None or kubernetes is None:
            return None
        admission = Admission.OPEN if kubernetes.node.admission is Admission.OPEN else slurm.node.admission
        held = [
            item for item in kubernetes.placements if item.gpus and not item.host
        ]  # slurmd's own pod is no work
        node = replace(slurm.node, admission=admission)
        return replace(slurm, node=node, placements=(*slurm.placements, *held))


def category_of_side(side: NodeKey, slurm: NodeKey, categories: Mapping[NodeKey, Category]) -> Category:
    """A side's category as it is judged: Slurm's asks for the active checks of both, Kubernetes' for none."""
    category = categories[side]
    if side != slurm:
        kept = {name: rule for name, rule in category.checks.items() if not is_active(name)}
        return replace(category, checks=kept)
    others = (asked(each) for key, each in categories.items() if key != slurm)
    more = {name: rule for rules in others for name, rule in rules.items() if name not in asked(category)}
    return replace(category, checks={**category.checks, **more})
