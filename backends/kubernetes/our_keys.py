"""The keys that Quarterdeck itself writes on a Node, under one configured prefix, and the label form of an image.

Nobody else's keys are here, save the two by which an autoscaler is asked to leave a node alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

FIELD_MANAGER = "quarterdeck"
GATE_VALUE = "pending"
GATE_EFFECT = "NoSchedule"
KWOK = "kwok.x-k8s.io/node"
"""The annotation that says a Node has no machine behind it (KWOK 0.8)."""

SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
KEEP_AWAY = (SCALE_DOWN_DISABLED, DO_NOT_DISRUPT)
"""Set to `true` while an operation works on the node, and put back to what was found."""

LABEL_LIMIT = 63
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?\Z")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class OurKeys:
    """Every key we write, for one `prefix` (`node.lab/`, with its slash)."""

    prefix: str = "node.lab/"

    @property
    def category(self) -> str:
        return f"{self.prefix}category"

    @property
    def image_version(self) -> str:
        """The label: a slug of at most 63 characters."""
        return f"{self.prefix}image-version"

    @property
    def image(self) -> str:
        """The annotation: the full reference."""
        return f"{self.prefix}image"

    @property
    def desired_image(self) -> str:
        """The annotation: the image wanted of this node, over its category's."""
        return f"{self.prefix}desired-image"

    @property
    def lifecycle(self) -> str:
        return f"{self.prefix}lifecycle"

    @property
    def gate_taint(self) -> str:
        return f"{self.prefix}health-gate"

    @property
    def held_by(self) -> str:
        return f"{self.prefix}held-by"

    @property
    def unreadable(self) -> str:
        """Where a `held-by` that nobody can read is kept, so that it is not lost."""
        return f"{self.prefix}held-by-unreadable"

    @property
    def gate(self) -> str:
        return f"{self.prefix}gate"

    @property
    def accepted(self) -> str:
        """Checks that people let stay unknown for a time."""
        return f"{self.prefix}gate-accepted"

    @property
    def repair(self) -> str:
        """What a person says was mended."""
        return f"{self.prefix}repair"

    @property
    def operation(self) -> str:
        """The operation that made this Node, which stands for its uid after a recreate."""
        return f"{self.prefix}operation"

    @property
    def drill(self) -> str:
        """On a drill's namespace, the label by which drills are found: its name. On its node, the annotation: that namespace."""
        return f"{self.prefix}drill"


def slug(image: str) -> str:
    """`image` as a label value. A reference that is one already stays; another gets eight digits of its hash."""
    if len(image) <= LABEL_LIMIT and _LABEL.match(image):
        return image
    digits = hashlib.sha256(image.encode(errors="replace")).hexdigest()[:8]
    body = _NOT_LABEL.sub("-", image).strip("-_.")
    return f"{body[-(LABEL_LIMIT - 9) :].strip('-_.')}-{digits}".lstrip("-")


def same_image(shown: str | None, wanted: str) -> bool:
    """Whether what a node shows (a reference, or its slug) is the image wanted."""
    return shown is not None and shown in (wanted, slug(wanted))
