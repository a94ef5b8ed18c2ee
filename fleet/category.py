"""Categories: nodes that share one image and one configuration. The unit of change is the category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from fleet.health import Verdict

RECREATE = "recreate"
"""The imager that deletes and creates the Node object: only for KWOK and simulated nodes."""

SLURM_REBOOT = "slurm_reboot"
"""The imager that has Slurm run its RebootProgram on a drained node: only for nodes of Slurm."""

IMAGERS = (RECREATE, SLURM_REBOOT)


HOT_CELSIUS = 90.0
"""From this on a GPU is too hot, unless the category's check `temperature` has a limit of its own."""

WARM_CELSIUS = 85.0
"""From this on a GPU is worth a look."""


@dataclass(frozen=True, slots=True)
class OnNode:
    """How a category runs an active check. `command` is an argument list in the place of the check's own, where it is not empty.

    `image` is what a Kubernetes Job runs it in; `level` is dcgmi's; `deadline` None is the check's own.
    """

    level: int = 2
    command: tuple[str, ...] = ()
    image: str = ""
    deadline: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """How one gate check is read for a category: `needed` checks that are unknown keep the gate closed.

    `limit` is the threshold, in the unit that `fleet.check_catalogue` names; `severity` (FAIL or WARN) what a value beyond it
    comes to; `window` how long an XID whose age is known counts as hard as its code. None is the check's own default. `asked`:
    the site wrote that it needs this check, so that it is unknown too where nobody ever heard of it. `on_node` is how an active
    check is run.
    """

    enabled: bool = True
    needed: bool = True
    limit: float | None = None
    asked: bool = False
    severity: Verdict | None = None
    window: timedelta | None = None
    on_node: OnNode | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """What is configured of a category. None or empty: nothing was said, so nothing is assumed.

    `imager` is the adapter's name (`recreate`) or empty: reimage is disabled for it. `durations` of the steps of past
    operations are the journal's, not configuration.
    """

    name: str
    desired_image: str | None = None
    expected_gpus: int | None = None
    driver: str | None = None
    cuda: str | None = None
    vbios: str | None = None
    imager: str = ""
    gate_by_cordon: bool = False
    max_unavailable: str = "10%"  # a count or a share of the category
    boot_deadline: timedelta = timedelta(minutes=30)
    drain_deadline: timedelta = timedelta(hours=1)
    settle_deadline: timedelta = timedelta(minutes=5)  # after a boot, until agents and telemetry must show
    checks: Mapping[str, CheckPolicy] = field(default_factory=dict)

    @property
    def hot_celsius(self) -> float:
        """The temperature from which a GPU is too hot."""
        named = self.checks.get("temperature")
        return HOT_CELSIUS if named is None or named.limit is None else named.limit
