"""The settings: one TOML file and the flags over it, read strictly, before any screen opens.

A wrong file, key or value raises BadSettings naming file, key and what was expected; nothing is guessed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypedDict

import platformdirs

from fleet.category import IMAGERS, Category, CheckPolicy
from fleet.check_catalogue import CATALOGUE, default_policy, is_active
from fleet.diagnosis import CheckSite
from fleet.gate_checks import CHECKS
from fleet.health import Verdict
from fleet.policy import DEFAULT_FORBIDDEN_XIDS, VERSION_NAMES, Policy
from fleet.xid import SITE_SEVERITIES, Severity
from tui.check_settings import active_check, check_site, site_checks
from tui.join_settings import join_rules
from tui.toml_section import BadSettings, Section, span

_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/")
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
ANY_OTHER = "*"
"""The name of the table for every category that has none of its own, and for nodes without a category."""
THEMES = ("dark", "light", "colour-blind", "ascii")
RETIREMENTS = ("down", "delete")


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus is and how to be known there. Secrets are read from files, never from the settings."""

    url: str = ""
    token_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    every: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Which contexts make up the fleet. Empty `contexts`: the current one."""

    kubeconfig: Path | None = None
    contexts: tuple[str, ...] = ()
    category_labels: tuple[str, ...] = ()
    image_labels: tuple[str, ...] = ()
    checks: CheckSite = field(default_factory=CheckSite)


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """Whether the Slurm cluster of this machine is part of the fleet, and how it is read and driven.

    `conf` None is what SLURM_CONF or Slurm's own default says. The patterns are regular expressions over a node's features, whose
    first group is the value; empty ones are the built-in ones. `set_image` is a command of the site's, with `{node}` and
    `{image}` in it, that chooses what a node boots next; `retire` says what becomes of a retired node. `health_checks` is how the
    Reasons begin that the site's own HealthCheckProgram writes.
    """

    use: bool = False
    conf: Path | None = None
    category_patterns: tuple[str, ...] = ()
    image_patterns: tuple[str, ...] = ()
    set_image: tuple[str, ...] = ()
    retire: str = "down"
    health_checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. `file` is where it came from, None where there was none."""

    file: Path | None = None
    policy: Policy = field(default_factory=Policy)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    slurm: SlurmSettings = field(default_factory=SlurmSettings)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    dcgm_url: str = ""
    nvml: bool = False
    theme: str = ""  # none was chosen: the first, or ascii where the terminal shows no more
    columns: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    last_known: bool = True  # whether the last known fleet is kept, and shown at a start

    @property
    def names_a_source(self) -> bool:
        """Whether the file itself names a cluster, so that the demo is not what is wanted."""
        return bool(self.kubernetes.contexts or self.kubernetes.kubeconfig or self.slurm.use)


def default_file() -> Path:
    """Where the settings are looked for when no --config is given."""
    return platformdirs.user_config_path("quarterdeck") / "config.toml"


def state_folder() -> Path:
    """Where the journal and the last known fleet are kept."""
    return platformdirs.user_state_path("quarterdeck")


def load(path: Path | None) -> Settings:
    """Read `path`, or the default file where there is one. Raises BadSettings."""
    chosen = path or default_file()
    try:
        text = chosen.read_bytes().decode()
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise BadSettings(chosen, "", "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(chosen, "", f"it can't be read: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(chosen, "", f"it is not TOML: {error}") from error
    return _settings(chosen, Section(chosen, "", table))


def _settings(file: Path, top: Section) -> Settings:
    settings = Settings(
        file=file,
        theme=top.choice("theme", ("", *THEMES), ""),
        columns=top.texts("columns"),
        keys=top.mapping_of_texts("keys"),
        kubernetes=top.section("kubernetes", _kubernetes),
        slurm=top.section("slurm", _slurm),
        prometheus=top.section("prometheus", _prometheus),
        dcgm_url=top.section("dcgm", lambda dcgm: dcgm.text("url", "")),
        policy=_policy(top),
        last_known=top.section("state", lambda state: state.flag("last_known", default=True)),
    )
    top.finish()
    return settings


def _kubernetes(table: Section) -> KubernetesSettings:
    return KubernetesSettings(
        kubeconfig=table.path("kubeconfig"),
        contexts=table.texts("contexts"),
        category_labels=table.texts("category_labels"),
        image_labels=table.texts("image_labels"),
        checks=table.section("checks", check_site),
    )


def _slurm(table: Section) -> SlurmSettings:
    return SlurmSettings(
        use=table.flag("use", default=False),
        conf=table.path("conf"),
        category_patterns=_patterns(table, "category_patterns"),
        image_patterns=_patterns(table, "image_patterns"),
        set_image=table.texts("set_image"),
        retire=table.choice("retire", RETIREMENTS, "down"),
        health_checks=_beginnings(table, "health_checks"),
    )


def _beginnings(table: Section, key: str) -> tuple[str, ...]:
    """Texts that others begin with; an empty one would be the beginning of every text."""
    found = table.texts(key)
    if not all(text.strip() for text in found):
        raise table.bad(key, "beginnings of a Reason, none of them empty")
    return found


def _patterns(table: Section, key: str) -> tuple[str, ...]:
    """Regular expressions, each with a group that is the value."""
    patterns = table.texts(key)
    for pattern in patterns:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise table.bad(key, f"a regular expression: {pattern!r} is none ({error})") from error
        if not groups:
            raise table.bad(key, f"a regular expression with a group that is the value: {pattern!r} has none")
    return patterns


def _prometheus(table: Section) -> PrometheusSettings:
    return PrometheusSettings(
        url=table.text("url", ""),
        token_file=table.path("token_file"),
        username=table.text("username", ""),
        password_file=table.path("password_file"),
        ca_file=table.path("ca_file"),
        every=table.span("every", timedelta(seconds=15)),
    )


def _policy(top: Section) -> Policy:
    gate = top.section(
        "gate",
        lambda table: (
            table.span("telemetry_fresh", timedelta(minutes=2)),
            table.optional_integers("forbidden_xids"),
            table.span("accept_at_most", timedelta(hours=24)),
            table.span("flag_after", timedelta(minutes=1)),
        ),
    )
    return Policy(
        prefix=_prefix(top),
        read_only=top.flag("read_only", default=False),
        version_labels=top.section("drift", _version_labels),
        max_parallel=top.integer("max_parallel", 10, least=1),
        telemetry_fresh=gate[0],
        accept_at_most=gate[2],
        flag_after=gate[3],
        xid_severity=top.section("xid", lambda table: _xid_severity(table, gate[1])),
        joins=join_rules(top),
        **_categories(top),
    )


def _version_labels(table: Section) -> dict[str, str]:
    """Which label tells which version, for versions that nothing else tells."""
    labels = table.mapping_of_texts("labels")
    for name in labels:
        if name not in VERSION_NAMES:
            raise table.bad("labels", f"expected {', '.join(VERSION_NAMES)}, found {name!r}")
    return labels


def _prefix(top: Section) -> str:
    """What begins our keys: a DNS name and a slash, as Kubernetes wants a key's prefix (1.36, "Labels and Selectors")."""
    prefix = top.text("prefix", "node.lab/")
    if not _PREFIX.fullmatch(prefix) or len(prefix) > 254:
        raise top.bad("prefix", f"expected a DNS name and a slash like node.lab/, found {prefix!r}")
    return prefix


def _xid_severity(table: Section, forbidden: tuple[int, ...] | None) -> dict[int, Severity]:
    """What the site says of codes: `[xid.severity]` by code, over the list `gate.forbidden_xids` where that is given.

    The list is the whole of what fails, so a table that says otherwise of a code contradicts it.
    """
    severities: dict[int, Severity] = {}
    if forbidden is not None:
        severities = dict.fromkeys(DEFAULT_FORBIDDEN_XIDS, Severity.WARN) | dict.fromkeys(
            forbidden, Severity.FAIL
        )
    words = {severity.value: severity for severity in SITE_SEVERITIES}
    for key, word in table.mapping_of_texts("severity").items():
        if not (key.isascii() and key.isdecimal() and 0 < int(key) < 10_000):
            raise table.bad(f"severity.{key}", "expected the number of an XID")
        if word not in words:
            raise table.bad(f"severity.{key}", f"expected one of {', '.join(words)}, found {word!r}")
        code = int(key)
        if forbidden is not None and (words[word] is Severity.FAIL) != (code in forbidden):
            raise table.bad(
                f"severity.{key}", f"{word} contradicts gate.forbidden_xids: name it in one of them"
            )
        severities[code] = words[word]
    return severities


class _Categories(TypedDict):
    categories: dict[str, Category]
    any_other: Category


def _categories(top: Section) -> _Categories:
    """The tables of categories; `[category."*"]` says what holds where a category's own table says nothing."""
    tables = dict(top.sections("category"))
    any_table = tables.pop(ANY_OTHER, None)
    any_other = Category("") if any_table is None else _category("", any_table, Category(""))
    return {
        "categories": {name: _category(name, table, any_other) for name, table in tables.items()},
        "any_other": any_other,
    }


def _category(name: str, table: Section, base: Category) -> Category:
    gpus = table.optional_integer("expected_gpus", least=0)
    category = Category(
        name=name,
        desired_image=table.optional_text("desired_image") or base.desired_image,
        expected_gpus=base.expected_gpus if gpus is None else gpus,
        driver=table.optional_text("driver") or base.driver,
        cuda=table.optional_text("cuda") or base.cuda,
        vbios=table.optional_text("vbios") or base.vbios,
        imager=table.choice("imager", ("", *IMAGERS), base.imager),
        gate_by_cordon=table.flag("gate_by_cordon", default=base.gate_by_cordon),
        max_unavailable=table.count_or_share("max_unavailable", base.max_unavailable),
        boot_deadline=table.span("boot_deadline", base.boot_deadline),
        drain_deadline=table.span("drain_deadline", base.drain_deadline),
        settle_deadline=table.span("settle_deadline", base.settle_deadline),
        checks=table.section("checks", lambda checks: _checks(checks, base.checks)),
    )
    table.finish()
    return category


def _checks(table: Section, base: Mapping[str, CheckPolicy]) -> dict[str, CheckPolicy]:
    found = dict(base)
    for name in CHECKS:
        if (section := table.optional_section(name)) is not None:
            rule = base.get(name) or default_policy(name)
            found[name] = (
                active_check(name, section, rule) if is_active(name) else _check(name, section, rule)
            )
    found |= table.section("site", lambda site: site_checks(site, base))
    return found


def _check(name: str, table: Section, base: CheckPolicy) -> CheckPolicy:
    """One check's rule. Keys that the check could do nothing with are refused, so that no rule is thought to hold that doesn't."""
    spec = CATALOGUE.get(name)
    limit = table.optional_number("limit") if spec is None or spec.takes_limit else None
    needed = table.optional_flag("needed")
    severity = base.severity
    if spec is not None and spec.severity is not None:
        word = table.choice("severity", ("", *_SEVERITIES), "")
        severity = _SEVERITIES[word] if word else severity
    check = CheckPolicy(
        enabled=table.flag("enabled", default=base.enabled),
        needed=base.needed if needed is None else needed,
        limit=base.limit if limit is None else limit,
        asked=base.asked if needed is None else needed,
        severity=severity,
        window=(table.optional_span("window") or base.window) if name == "xid" else None,
    )
    table.finish()
    return check


_SEVERITIES = {"FAIL": Verdict.FAIL, "warn": Verdict.WARN}
"""What a site may have a bad value come to."""


def environment_names_a_cluster(
    environ: Mapping[str, str] | None = None, token: Path = SERVICE_ACCOUNT_TOKEN
) -> bool:
    """Whether kubectl would find a cluster: KUBECONFIG, the default file, or a pod's own service account.

    Every pod knows the address of its cluster; only one with a service account's `token` can ask it anything.
    """
    variables = os.environ if environ is None else environ
    if variables.get("KUBECONFIG") or (variables.get("KUBERNETES_SERVICE_HOST") and token.is_file()):
        return True
    return (Path(variables.get("HOME", "~")).expanduser() / ".kube" / "config").is_file()


Load = Callable[[Path | None], Settings]
__all__ = [
    "BadSettings",
    "Settings",
    "default_file",
    "environment_names_a_cluster",
    "load",
    "span",
    "state_folder",
]
