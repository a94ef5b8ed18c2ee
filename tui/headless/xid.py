"""xid: what a code means and what to do."""

from __future__ import annotations

import argparse

from fleet.policy import DEFAULT_FORBIDDEN_XIDS
from fleet.xid import lookup
from tui.exits import DONE
from tui.headless.shapes import put


def xid(asked: argparse.Namespace) -> int:
    """Name, NVIDIA's immediate action, and how hard our gate takes it by default."""
    found = lookup(asked.code)
    forbids = asked.code in DEFAULT_FORBIDDEN_XIDS
    if asked.json:
        put(
            {
                "code": found.code,
                "name": found.name or None,
                "action": found.action,
                "asks": found.asks,
                "severity": found.severity.value,
                "keeps_gate_closed": forbids,
            }
        )
        return DONE
    gate = "keeps a gate closed" if forbids else "does not keep a gate closed"
    for line in (
        found.label,
        f"NVIDIA's immediate action: {found.action} ({found.asks})",
        f"suggested severity: {found.severity.value}; by default it {gate}",
    ):
        print(line)  # noqa: T201 - what was asked for
    return DONE
