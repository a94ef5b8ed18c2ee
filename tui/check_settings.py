"""The settings of active checks: how each is run, and where a cluster runs them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fleet.category import CheckPolicy, OnNode
from fleet.check_catalogue import LEVELS
from fleet.diagnosis import DCGM_DIAG, NCCL, SITE, CheckSite
from tui.toml_section import Section

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def active_check(name: str, table: Section, base: CheckPolicy | None) -> CheckPolicy:
    """One active check's rule. Its table asks for it, unless that says otherwise."""
    rule = base or CheckPolicy(enabled=False)
    before = rule.on_node or OnNode()
    needed = table.optional_flag("needed")
    limit = table.optional_number("limit") if name == NCCL else None
    check = CheckPolicy(
        enabled=table.flag("enabled", default=True),
        needed=rule.needed if needed is None else needed,
        limit=rule.limit if limit is None else limit,
        asked=True,
        on_node=OnNode(
            level=_level(table, before.level) if name == DCGM_DIAG else before.level,
            command=_command(table) or before.command,
            image=table.optional_text("image") or before.image,
            deadline=table.optional_span("deadline") or before.deadline,
        ),
    )
    if name.startswith(SITE) and check.enabled and not (check.on_node and check.on_node.command):
        raise table.bad("command", 'expected a list of texts, such as ["/usr/local/sbin/node-check"]')
    table.finish()
    return check


def site_checks(table: Section, base: Mapping[str, CheckPolicy]) -> dict[str, CheckPolicy]:
    """The site's own commands, each a table below: `checks.site.NAME`, a name that fits into a label."""
    found = {}
    for name, section in table.each():
        if not _NAME.fullmatch(name):
            raise table.bad(name, "expected a name of lower-case letters, digits and dashes, at most 32 long")
        found[f"{SITE}{name}"] = active_check(f"{SITE}{name}", section, base.get(f"{SITE}{name}"))
    return found


def check_site(table: Section) -> CheckSite:
    """Where a cluster runs active checks."""
    site = CheckSite()
    namespace = table.text("namespace", site.namespace)
    if not _NAMESPACE.fullmatch(namespace):
        raise table.bad("namespace", f"expected the name of a namespace, found {namespace!r}")
    return CheckSite(namespace, table.text("priority_class", site.priority_class))


def _level(table: Section, default: int) -> int:
    level = table.integer("level", default, least=1)
    if level not in LEVELS:
        raise table.bad("level", f"expected 1 to {max(LEVELS)}, found {level}")
    return level


def _command(table: Section) -> tuple[str, ...]:
    command = table.texts("command")
    if command and not command[0].strip():
        raise table.bad("command", "expected a program first, found an empty text")
    return command
