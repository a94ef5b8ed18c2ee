"""The site's rules as one value: categories, brakes, key prefix, how hard an XID is taken. Built from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from fleet.category import Category
from fleet.machine import JoinRule
from fleet.xid import Severity, catalogue, lookup

DEFAULT_FORBIDDEN_XIDS = frozenset(code for code, xid in catalogue().items() if xid.severity is Severity.FAIL)
"""XIDs that keep a gate closed by default: NVIDIA's catalogue asks for a reset, a restart or a mechanical check."""

TYPED_CONFIRMATION_ABOVE = 10
"""More nodes than this need the count typed, and run in waves."""

VERSION_NAMES = ("nic", "bmc", "dcgm")
"""Versions that have no field of their own anywhere: the firmware of network cards and BMC, and DCGM's."""

FAILURES_THAT_STOP = 3
"""After so many failed nodes an operation starts no new node."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`prefix` begins every key we write (`node.lab/`). `categories` by name; one not named is as `any_other`.

    `xid_severity` is what the site says of a code (INFO, WARN or FAIL); a code it does not name has the catalogue's severity.
    `version_labels` are labels (on Slurm features, `label=value`) that tell a version nothing else tells, by `VERSION_NAMES`.
    `forbidden_xids` follows from both: the codes that keep a gate closed.
    """

    prefix: str = "node.lab/"
    categories: Mapping[str, Category] = field(default_factory=dict)
    any_other: Category = field(default_factory=partial(Category, ""))
    xid_severity: Mapping[int, Severity] = field(default_factory=dict)
    forbidden_xids: frozenset[int] = field(init=False, default=DEFAULT_FORBIDDEN_XIDS)
    telemetry_fresh: timedelta = timedelta(minutes=2)
    version_labels: Mapping[str, str] = field(default_factory=dict)
    max_parallel: int = 10
    read_only: bool = False
    joins: tuple[JoinRule, ...] = ()

    def __post_init__(self) -> None:
        named = self.xid_severity
        failing = {code for code, severity in named.items() if severity is Severity.FAIL}
        object.__setattr__(self, "forbidden_xids", DEFAULT_FORBIDDEN_XIDS - named.keys() | failing)

    def severity_of_xid(self, code: int) -> Severity:
        """How hard this site takes a code."""
        return self.xid_severity.get(code) or lookup(code).severity

    def category(self, name: str) -> Category:
        return self.categories.get(name) or replace(self.any_other, name=name)
