"""The settings file: strict, and every mistake named with file, key and what was expected."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fleet.health import Verdict
from fleet.policy import DEFAULT_FORBIDDEN_XIDS
from fleet.xid import Severity
from tui.settings import BadSettings, Settings, environment_names_a_cluster, load
from tui.toml_section import span

FULL = """
prefix = "gpu.example/"
theme = "light"
read_only = true
columns = ["name", "util"]
max_parallel = 4

[keys]
"verb.cordon" = "C"

[kubernetes]
kubeconfig = "clusters/kubeconfig"
contexts = ["prod", "lab"]
category_labels = ["example/pool"]

[prometheus]
url = "http://127.0.0.1:9090"
token_file = "~/token"
every = "30s"

[dcgm]
url = "http://127.0.0.1:9400/metrics"

[gate]
telemetry_fresh = "90s"
forbidden_xids = [79, 48]

[category.h100]
desired_image = "v2"
expected_gpus = 8
driver = "570.133.20"
imager = "recreate"
max_unavailable = "25%"
boot_deadline = "1h30m"

[category.h100.checks.temperature]
needed = false
limit = 88
"""


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path)


def test_every_key_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path, FULL)
    category = settings.policy.category("h100")
    assert settings.policy.prefix == "gpu.example/"
    assert settings.policy.read_only
    assert settings.policy.forbidden_xids == {79, 48}
    assert settings.policy.telemetry_fresh == timedelta(seconds=90)
    assert settings.kubernetes.kubeconfig == tmp_path / "clusters" / "kubeconfig"
    assert settings.kubernetes.contexts == ("prod", "lab")
    assert settings.prometheus.every == timedelta(seconds=30)
    assert settings.keys == {"verb.cordon": "C"}
    assert (category.desired_image, category.expected_gpus, category.imager) == ("v2", 8, "recreate")
    assert (category.max_unavailable, category.boot_deadline) == ("25%", timedelta(minutes=90))
    assert category.checks["temperature"].limit == 88


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings.policy.forbidden_xids == DEFAULT_FORBIDDEN_XIDS
    assert settings.policy.prefix == "node.lab/"
    assert not settings.names_a_source


def test_the_severity_of_an_xid_is_the_site_s(tmp_path: Path) -> None:
    policy = read(tmp_path, "[xid.severity]\n94 = 'FAIL'\n79 = 'warn'\n13 = 'info'\n").policy
    assert policy.xid_severity == {94: Severity.FAIL, 79: Severity.WARN, 13: Severity.INFO}
    assert policy.forbidden_xids == DEFAULT_FORBIDDEN_XIDS - {79} | {94}


def test_a_list_of_forbidden_xids_is_the_whole_of_what_fails(tmp_path: Path) -> None:
    policy = read(tmp_path, "gate.forbidden_xids = [13]\n[xid.severity]\n31 = 'info'\n").policy
    assert policy.forbidden_xids == {13}
    assert [policy.severity_of_xid(code) for code in (13, 79, 31)] == [
        Severity.FAIL,
        Severity.WARN,
        Severity.INFO,
    ]


def test_no_file_at_all_is_all_defaults(tmp_path: Path) -> None:
    assert load(None) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theme = ", "it is not TOML"),
        ("thme = 'dark'", "thme: unknown key; did you mean theme?"),
        ("theme = 'pink'", "theme: expected one of dark, light, colour-blind, ascii, found 'pink'"),
        ("read_only = 'yes'", "read_only: expected true or false, found 'yes'"),
        ("max_parallel = 0", "max_parallel: expected a whole number of at least 1, found 0"),
        ("max_parallel = true", "max_parallel: expected a whole number, found True"),
        ("prometheus = 'http://x'", "prometheus: expected a table, found 'http://x'"),
        (
            "[prometheus]\nevery = 'often'",
            "prometheus.every: expected a duration like 90s, 15m or 1h30m, found 'often'",
        ),
        ("[gate]\nforbidden_xids = ['79']", "gate.forbidden_xids: expected a list of whole numbers"),
        (
            "[category.h100]\nexpected_gpu = 8",
            "category.h100.expected_gpu: unknown key; did you mean expected_gpus?",
        ),
        (
            "[category.h100]\nimager = 'floppy'",
            "category.h100.imager: expected one of recreate, slurm_reboot, found 'floppy'",
        ),
        (
            "[category.h100]\nmax_unavailable = '200%'",
            "category.h100.max_unavailable: expected a count like 3",
        ),
        (
            "[category.h100.checks.xid]\nneded = false",
            "category.h100.checks.xid.neded: unknown key; did you mean needed?",
        ),
        (
            "[category.h100.checks.ecc-dbe]\nneeded = 'yes'",
            "category.h100.checks.ecc-dbe.needed: expected true or false, found 'yes'",
        ),
        (
            "[category.h100.checks.ecc-dbe]\nlimit = nan",
            "category.h100.checks.ecc-dbe.limit: expected a number",
        ),
        (
            "[category.h100.checks.row-remap]\nlimit = 3",
            "category.h100.checks.row-remap.limit: unknown key",
        ),
        (
            "[category.h100.checks.ecc-dbe]\nseverity = 'info'",
            "category.h100.checks.ecc-dbe.severity: expected one of FAIL, warn, found 'info'",
        ),
        (
            "[category.h100.checks.xid]\nseverity = 'warn'",
            "category.h100.checks.xid.severity: unknown key",
        ),
        (
            "[category.h100.checks.evidence]\nseverity = 'warn'",
            "category.h100.checks.evidence.severity: unknown key",
        ),
        (
            "[category.h100.checks.xid]\nwindow = '0s'",
            "category.h100.checks.xid.window: expected more than nothing",
        ),
        (
            "[category.h100.checks.ecc-dbe]\nwindow = '2h'",
            "category.h100.checks.ecc-dbe.window: unknown key",
        ),
        ("[gate]\naccept_at_most = 'long'", "gate.accept_at_most: expected a duration"),
        ("[gate]\nflag_after = 0", "gate.flag_after: expected more than nothing"),
        (
            "[xid.severity]\n94 = 'fail'",
            "xid.severity.94: expected one of info, warn, FAIL, found 'fail'",
        ),
        ("[xid.severity]\nABC = 'warn'", "xid.severity.ABC: expected the number of an XID"),
        ("[xid.severity]\n94 = 3", "xid.severity: expected a table of texts"),
        ("[xid]\nsevrity = {}", "xid.sevrity: unknown key; did you mean severity?"),
        (
            "gate.forbidden_xids = [79]\n[xid.severity]\n79 = 'warn'",
            "xid.severity.79: warn contradicts gate.forbidden_xids",
        ),
        (
            "gate.forbidden_xids = [79]\n[xid.severity]\n94 = 'FAIL'",
            "xid.severity.94: FAIL contradicts gate.forbidden_xids",
        ),
        ("[category]\nh100 = 3", "category.h100: expected a table, found 3"),
    ],
)
def test_a_mistake_names_file_key_and_what_was_expected(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadSettings) as raised:
        read(tmp_path, text)
    assert says in str(raised.value)
    assert str(tmp_path / "config.toml") in str(raised.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="there is no such file"):
        load(tmp_path / "missing.toml")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSettings, match="can't be read"):
        load(path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("45", 45), ("2d", 172800)]
)
def test_a_span_is_read(text: str, seconds: float) -> None:
    assert span(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "-3s", "3s!", "h"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        span(text)


def test_the_environment_names_a_cluster_as_kubectl_would_find_it(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert not environment_names_a_cluster(home)
    assert environment_names_a_cluster(home | {"KUBECONFIG": "/a/file"})
    in_a_pod, token = home | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path / "token"
    assert not environment_names_a_cluster(in_a_pod, token)
    token.touch()
    assert environment_names_a_cluster(in_a_pod, token)
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").touch()
    assert environment_names_a_cluster(home)


def test_what_is_said_of_any_category_holds_where_its_own_table_is_silent(tmp_path: Path) -> None:
    policy = read(
        tmp_path,
        """
        [category."*"]
        expected_gpus = 8
        [category."*".checks.telemetry]
        needed = false
        [category."*".checks.temperature]
        limit = 80
        [category.l40s]
        expected_gpus = 4
        [category.l40s.checks.xid]
        needed = false
        """,
    ).policy
    assert policy.category("").expected_gpus == policy.category("h100").expected_gpus == 8
    assert policy.category("h100").name == "h100"
    l40s = policy.category("l40s")
    assert (l40s.expected_gpus, "*" in policy.categories) == (4, False)
    assert (l40s.checks["telemetry"].needed, l40s.checks["xid"].needed) == (False, False)
    assert (l40s.checks["temperature"].limit, l40s.checks["temperature"].needed) == (80, False)


def test_a_check_that_does_not_exist_is_named_with_the_nearest_that_does(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"checks\.telemtry: unknown key; did you mean telemetry"):
        read(tmp_path, "[category.h100.checks.telemtry]\nneeded = false\n")


def test_the_slurm_of_this_machine_is_part_of_the_fleet_where_it_is_asked_for(tmp_path: Path) -> None:
    assert not read(tmp_path, "").names_a_source
    found = read(
        tmp_path,
        """
        [slurm]
        use = true
        image_patterns = ["^img_(.+)$"]
        set_image = ["/sbin/set", "{node}", "{image}"]
        retire = "delete"
        health_checks = ["site-check:"]
        """,
    )
    assert found.names_a_source
    assert found.slurm.health_checks == ("site-check:",)
    assert (found.slurm.image_patterns, found.slurm.set_image[1:]) == (("^img_(.+)$",), ("{node}", "{image}"))
    assert (found.slurm.retire, found.slurm.conf) == ("delete", None)


@pytest.mark.parametrize("pattern", ["(", "image"])
def test_a_pattern_that_finds_no_value_is_refused_by_name(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(BadSettings, match=r"slurm\.image_patterns"):
        read(tmp_path, f'[slurm]\nimage_patterns = ["{pattern}"]\n')


def test_a_health_check_that_every_reason_would_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"slurm\.health_checks: beginnings of a Reason"):
        read(tmp_path, '[slurm]\nhealth_checks = ["site:", " "]\n')


@pytest.mark.parametrize("prefix", ["", "node.lab", "/", "Node.lab/", "a b/", "a//", "a..b/", "-a/"])
def test_a_prefix_that_no_key_may_begin_with_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(BadSettings, match="prefix: expected a DNS name and a slash"):
        read(tmp_path, f'prefix = "{prefix}"')


@pytest.mark.parametrize("text", ["999999999999d", "9" * 400, "367d"])
def test_a_duration_beyond_a_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a year"):
        span(text)


def test_a_check_of_a_category_is_what_its_table_says_over_the_default_and_over_any_other(
    tmp_path: Path,
) -> None:
    policy = read(
        tmp_path,
        """
        [gate]
        accept_at_most = "12h"
        flag_after = "90s"
        [category."*".checks.clock-events]
        needed = true
        [category."*".checks.xid]
        window = "2h"
        [category.h100]
        cuda = "12.8"
        vbios = "96.00.5E"
        [category.h100.checks.clock-events]
        severity = "warn"
        limit = 0x68
        """,
    ).policy
    assert (policy.accept_at_most, policy.flag_after) == (timedelta(hours=12), timedelta(seconds=90))
    h100 = policy.category("h100")
    assert (h100.cuda, h100.vbios) == ("12.8", "96.00.5E")
    clocks = h100.checks["clock-events"]
    assert (clocks.needed, clocks.asked, clocks.severity, clocks.limit) == (True, True, Verdict.WARN, 0x68)
    assert h100.checks["xid"].window == timedelta(hours=2)
    assert h100.checks["xid"].needed
    assert not policy.category("a100").checks["clock-events"].severity


def test_a_check_that_a_default_exporter_does_not_tell_is_not_needed_by_being_named(tmp_path: Path) -> None:
    checks = read(tmp_path, "[category.h100.checks.ecc-dbe]\nlimit = 1\n").policy.category("h100").checks
    assert (checks["ecc-dbe"].needed, checks["ecc-dbe"].asked) == (False, False)
