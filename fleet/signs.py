"""What a node's summed telemetry shows of faults, one number each: the checks that a whole fleet can be asked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from fleet import xid
from fleet.category import CheckPolicy
from fleet.check_catalogue import CATALOGUE
from fleet.policy import Policy
from fleet.telemetry import NodeTelemetry

Read = Callable[[NodeTelemetry], float | None]

FROM_SUMS: Mapping[str, Read] = {
    "xid": lambda told: told.xid,
    "row-remap": lambda told: _flag(told.row_remap_failure),
    "row-remap-pending": lambda told: _flag(told.remap_pending),
    "remapped-rows": lambda told: told.remapped_rows,
    "ecc-dbe": lambda told: told.ecc_dbe,
    "clock-events": lambda told: _flag(told.slowed),
    "temp-margin": lambda told: told.temp_margin_min,
    "recovery-action": lambda told: told.recovery_action,
}
"""Each check with the sum that it is read from. Which of the GPUs it is, the gate says."""

_SAYS: Mapping[str, Callable[[float], str]] = {
    "row-remap": lambda _: "row remapping failed",
    "row-remap-pending": lambda _: "a row waits for a reset",
    "remapped-rows": lambda value: f"{value:,.0f} rows remapped",
    "ecc-dbe": lambda value: f"{value:,.0f} uncorrected memory errors",
    "clock-events": lambda _: "slowed by heat or power",
    "temp-margin": lambda value: f"{value:g} °C left",
    "recovery-action": lambda value: f"asks for recovery action {value:.0f}",
}
_ONLY_WARNS = 3  # a recovery action that only drains peers


def sign(
    check: str, told: NodeTelemetry, rule: CheckPolicy, policy: Policy, *, aged_out: bool = False
) -> str | None:
    """What fails in words; empty where it passes, None where it is not known. An XID that has `aged_out` of its window passes."""
    value = FROM_SUMS[check](told)
    if value is None:
        return None
    if check == "xid":
        forbids = int(value) in policy.forbidden_xids and not aged_out
        return f"{xid.lookup(int(value)).label}" if forbids else ""
    if check == "recovery-action":
        return "" if value in (0, _ONLY_WARNS) else _SAYS[check](value)
    limit = CATALOGUE[check].limit if rule.limit is None else rule.limit
    if check == "temp-margin":
        fails = value <= (limit or 0.0)
    elif check == "clock-events":
        fails = bool(value)
    else:
        fails = value > (limit or 0.0)
    return _SAYS[check](value) if fails else ""


def xid_aged_out(told: NodeTelemetry, window: timedelta | None, now: datetime) -> bool:
    """Whether the XID that shows is known to be older than the site's window; one of unknown age is not."""
    return window is not None and told.xid_at is not None and now - told.xid_at > window


def _flag(flag: bool | None) -> float | None:
    return None if flag is None else float(flag)
