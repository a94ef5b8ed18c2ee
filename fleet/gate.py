"""Runs a category's gate checks over fresh facts and telemetry, and says what each came to under the category's rules.

The deeper gate (diagnostics on the node) adds findings; this one needs no agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from fleet.category import Category, CheckPolicy
from fleet.check_catalogue import CATALOGUE, EVIDENCE, default_policy
from fleet.checks import FROM_FACTS, Applies, Scene
from fleet.evidence import evidence_of
from fleet.gpu_checks import FROM_TELEMETRY
from fleet.health import Finding, Verdict
from fleet.node import NodeKey
from fleet.plan import NodeFacts
from fleet.policy import Policy
from fleet.ports import Clock
from fleet.telemetry_feed import Readings

_DECIDE: dict[str, Applies] = {**FROM_FACTS, **FROM_TELEMETRY}

_STAYS_BROKEN = frozenset({"row-remap"})
"""A GPU whose rows can't be remapped any more is replaced (NVIDIA's row remapping guide): a settling node's gate need not wait."""

ReadGpus = Callable[[NodeKey], Awaitable[Readings]]


class GateChecker:
    """The port `Checker`. `read_gpus` reads one node's telemetry (`TelemetryFeed.readings`); None where there is no source."""

    def __init__(self, policy: Policy, clock: Clock, read_gpus: ReadGpus | None) -> None:
        self._policy = policy
        self._clock = clock
        self._read_gpus = read_gpus

    async def findings(self, facts: NodeFacts, category: Category) -> Sequence[Finding]:
        """One finding a passive check that the category has enabled, after those that came with the facts."""
        if self._read_gpus is None:
            readings = Readings(why="no telemetry source is configured")
        else:
            readings = await self._read_gpus(facts.node.key)
        scene = Scene(facts, category, self._policy, readings, self._clock.now())
        blind = self._read_gpus is None
        return tuple(_for_good(finding, blind=blind) for finding in check_all(scene))


def _for_good(finding: Finding, *, blind: bool) -> Finding:
    """What no waiting changes: telemetry where there is no source of it, and a fault that stays until the GPU is replaced."""
    unknown = blind and finding.verdict is Verdict.UNKNOWN and finding.check in FROM_TELEMETRY
    broken = finding.verdict is Verdict.FAIL and finding.check in _STAYS_BROKEN
    return replace(finding, final=True) if unknown or broken else finding


def check_all(scene: Scene) -> tuple[Finding, ...]:
    """The findings of every enabled check, by what the category makes of each and what a person has accepted."""
    found = [*_brought(scene), *_made(scene)]
    evidence = evidence_of(scene)
    if evidence is not None and _policy(scene, EVIDENCE).enabled:
        found.append(evidence)
    return tuple(accept(found, scene))


def ruled(finding: Finding, policy: CheckPolicy) -> Finding:
    """A finding under a category's rule: needed or not, and what a bad value comes to."""
    spec = CATALOGUE.get(finding.check)
    decides = spec is not None and spec.severity is None
    verdict = finding.verdict
    if policy.severity is not None and not decides and verdict in (Verdict.FAIL, Verdict.WARN):
        verdict = policy.severity
    needed = finding.needed and policy.needed
    if verdict is Verdict.WARN and needed and finding.unread:
        value, clears = f"{finding.value}; {finding.unread}", f"every GPU telling it; {finding.clears}"
        return replace(finding, verdict=Verdict.UNKNOWN, value=value, clears=clears, needed=needed)
    if (verdict, needed) == (finding.verdict, finding.needed):
        return finding
    return replace(finding, verdict=verdict, needed=needed)


def accept(findings: Iterable[Finding], scene: Scene) -> Iterator[Finding]:
    """The findings, each UNKNOWN one with the acceptance that stands for it now. What lifts a quarantine can't be accepted."""
    at_most = scene.policy.accept_at_most
    standing = {word.check: word for word in scene.node.accepted if word.holds(scene.now, at_most)}
    for finding in findings:
        word = standing.get(finding.check)
        if word is not None and finding.verdict is Verdict.UNKNOWN and finding.check != EVIDENCE:
            yield replace(finding, accepted=word)
        else:
            yield finding


def _brought(scene: Scene) -> Iterator[Finding]:
    """What came with the facts, dated now where it brought no time."""
    for finding in scene.facts.findings:
        policy = _policy(scene, finding.check)
        if policy.enabled:
            yield ruled(finding if finding.at is not None else replace(finding, at=scene.now), policy)


def _made(scene: Scene) -> Iterator[Finding]:
    brought = {finding.check for finding in scene.facts.findings}
    for name in CATALOGUE:
        policy = _policy(scene, name)
        if not policy.enabled or name in brought or CATALOGUE[name].active:
            continue
        decide = _DECIDE.get(name)
        finding = decide(replace(scene, limit=policy.limit, window=policy.window)) if decide else None
        if finding is None and policy.asked and policy.needed:
            finding = _unheard(scene, name)
        if finding is not None:
            yield ruled(finding, policy)


def _unheard(scene: Scene, check: str) -> Finding:
    """The category needs by name what nobody here tells of."""
    spec = CATALOGUE[check]
    source = scene.node.key.source
    return Finding(check, Verdict.UNKNOWN, "nobody reports it", spec.wants, source, scene.now, spec.reads)


def _policy(scene: Scene, check: str) -> CheckPolicy:
    return scene.category.checks.get(check) or default_policy(check)
