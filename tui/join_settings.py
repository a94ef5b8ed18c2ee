"""The `[[join]]` tables of the settings: which nodes of two sources are one machine. Read strictly, as everything else."""

from __future__ import annotations

import re

from fleet.machine import JoinBy, JoinRule
from tui.toml_section import Section

_WAYS = tuple(by.value for by in JoinBy)
_KEYED = {
    JoinBy.LABEL: "the label of the Kubernetes node that holds the Slurm node's name",
    JoinBy.ANNOTATION: "the annotation of the Kubernetes node that holds the Slurm node's name",
    JoinBy.PODS: "the label of slurmd's pods, as key or key=value",
}
_SIDES = ("kubernetes", "slurm")


def join_rules(top: Section) -> tuple[JoinRule, ...]:
    """Every rule, in order. Raises BadSettings."""
    rules: list[JoinRule] = []
    for table in top.tables("join"):
        rule = _rule(table)
        table.finish()
        if any({rule.kubernetes, rule.slurm} == {known.kubernetes, known.slurm} for known in rules):
            raise table.bad(
                "slurm", f"{rule.kubernetes} and {rule.slurm} are joined by an earlier rule already"
            )
        rules.append(rule)
    return tuple(rules)


def _rule(table: Section) -> JoinRule:
    kubernetes = _named(table, "kubernetes", "a kubeconfig context")
    # In lower case, as its controller gives it.
    slurm = _named(table, "slurm", "a Slurm cluster, as its ClusterName").lower()
    if kubernetes == slurm:
        says = f"expected another source than the Kubernetes one: a cluster of the same name is slurm-{slurm} here"
        raise table.bad("slurm", says)
    by = JoinBy(table.choice("by", _WAYS, JoinBy.NAME.value))
    pattern, template = _pattern(table) if by is JoinBy.PATTERN else ("", "")
    return JoinRule(
        kubernetes=kubernetes,
        slurm=slurm,
        by=by,
        key=_named(table, "key", _KEYED[by]) if by in _KEYED else "",
        pattern=pattern,
        template=template,
        shows_slurm=table.choice("shows", _SIDES, _SIDES[0]) == "slurm",
    )


def _named(table: Section, key: str, what: str) -> str:
    found = table.text(key, "").strip()
    if not found:
        raise table.bad(key, f"expected {what}, found nothing")
    return found


def _pattern(table: Section) -> tuple[str, str]:
    """A regular expression over the Kubernetes node's whole name, and what the Slurm node of one that fits is called."""
    pattern = _named(table, "pattern", "a regular expression over the Kubernetes node's whole name")
    template = _named(
        table, "template", r"the Slurm node's name, with \1 for what the pattern's first group found"
    )
    try:
        empty = re.compile(f"(?:{pattern})|")
    except re.error as error:
        raise table.bad("pattern", f"a regular expression: {pattern!r} is none ({error})") from error
    try:
        empty.sub(template, "", count=1)
    except (re.error, IndexError) as error:
        raise table.bad(
            "template", f"expected groups of the pattern, found {template!r} ({error})"
        ) from error
    return pattern, template
