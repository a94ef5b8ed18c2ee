"""The site's rules as one value: categories, brakes, key prefix, how hard an XID is taken. Built from the configuration."""

from __future__ import annotations

import hashlib
import json
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
    `forbidden_xids` follows from both: the codes that keep a gate closed. `accept_at_most` bounds how long a person may
    accept a check that is UNKNOWN; a node in service is flagged once it has failed a passive check for `flag_after` without a
    break, and is so no more once it has not for as long.
    """

    prefix: str = "node.lab/"
    categories: Mapping[str, Category] = field(default_factory=dict)
    any_other: Category = field(default_factory=partial(Category, ""))
    xid_severity: Mapping[int, Severity] = field(default_factory=dict)
    forbidden_xids: frozenset[int] = field(init=False, default=DEFAULT_FORBIDDEN_XIDS)
    telemetry_fresh: timedelta = timedelta(minutes=2)
    version_labels: Mapping[str, str] = field(default_factory=dict)
    accept_at_most: timedelta = timedelta(hours=24)
    flag_after: timedelta = timedelta(minutes=1)
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

    def rules_digest(self, category: Category) -> str:
        """Twelve hexadecimal digits of everything that a gate of `category` is judged by: the same rules have the same."""
        told = {
            "checks": {name: repr(check) for name, check in sorted(category.checks.items())},
            "declared": [
                category.desired_image,
                category.expected_gpus,
                category.driver,
                category.cuda,
                category.vbios,
            ],
            "xid": {str(code): severity.value for code, severity in sorted(self.xid_severity.items())},
            "telemetry_fresh": self.telemetry_fresh.total_seconds(),
            "accept_at_most": self.accept_at_most.total_seconds(),
        }
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def category(self, name: str) -> Category:
        return self.categories.get(name) or replace(self.any_other, name=name)
