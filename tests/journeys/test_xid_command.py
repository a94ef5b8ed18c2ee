"""`quarterdeck xid`: a code explained under the site's policy, and a kernel log decoded."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.served import quarterdeck

LOG = (
    "[10.000000] NVRM: Xid (PCI:0000:01:00): 13, pid=7, name=trainer, Graphics Exception\n"
    "[11.000000] NVRM: Xid (0000:02:00.0): 94, pid=8, name=nvc:[driver], Contained ECC error\n"
    "[12.000000] NVRM: Xid (PCI:0000:03:00): what\n"
)


def test_a_code_says_what_to_do_who_disagrees_and_which_policy_won(tmp_path: Path) -> None:
    said = quarterdeck("xid", "94")
    assert said.code == 0
    for words in ("RC_CONTAINED_ERROR", "RESTART_APP", "warn, by default", "disagree: gpud (Fatal)"):
        assert words in said.out
    site = tmp_path / "site.toml"
    site.write_text("[xid.severity]\n94 = 'FAIL'\n")
    ruled = quarterdeck("xid", "94", "--config", str(site), "--json")
    assert (ruled.json["severity"], ruled.json["severity_by"]) == ("FAIL", str(site))
    assert (ruled.json["default_severity"], ruled.json["keeps_gate_closed"]) == ("warn", True)
    assert {"catalogue": "gpud", "says": "Fatal", "agrees": True} in ruled.json["catalogues"]


def test_a_log_on_stdin_is_decoded_and_fails_by_the_site_s_policy(tmp_path: Path) -> None:
    said = quarterdeck("xid", stdin=LOG)
    assert said.code == 3, "what can't be read may be a fault"
    assert "XID 94 (RC_CONTAINED_ERROR)  0000:02:00  1" in said.out
    assert "nvc:[driver] (pid 8)" in said.out
    assert (
        "XIDs that can't be read: 1, the first on line 3: [12.000000] NVRM: Xid (PCI:0000:03:00): what"
        in said.err
    )
    site = tmp_path / "site.toml"
    site.write_text("[xid.severity]\n94 = 'FAIL'\n")
    ruled = quarterdeck("xid", "-", "--json", "--config", str(site), stdin=LOG)
    assert (ruled.code, ruled.json["worst"], ruled.json["unreadable"]) == (1, "FAIL", 1)
    assert ruled.json["first_unreadable"] == {
        "line": 3,
        "says": "[12.000000] NVRM: Xid (PCI:0000:03:00): what",
    }
    assert [fault["code"] for fault in ruled.json["faults"]] == [94, 13]
    assert ruled.json["faults"][1]["investigate"] == "WORKFLOW_XID_13"
    assert "run the DCGM EUD" in ruled.json["faults"][1]["investigate_asks"]


def test_what_is_neither_a_code_nor_a_log_is_wrong_usage() -> None:
    said = quarterdeck("xid", "seventy")
    assert (said.code, said.out) == (2, "")
    assert "must be the number of an XID" in said.err


def test_a_log_without_faults_says_how_much_was_read() -> None:
    said = quarterdeck("xid", stdin="a\nb\n")
    assert (said.code, said.err.strip()) == (0, "no GPU fault in 2 lines")


def test_an_xid_that_can_t_be_read_is_told_and_is_no_clean_log() -> None:
    said = quarterdeck("xid", stdin="boot\nNVRM: Xid banana\n")
    assert said.code == 3
    assert said.err.splitlines() == [
        "no GPU fault that can be read in 2 lines",
        "XIDs that can't be read: 1, the first on line 2: NVRM: Xid banana",
    ]


def test_a_hostile_log_is_read_to_its_end() -> None:
    """Binary, a line of a megabyte, Windows' line ends, dmesg -T, the journal in JSON: each with a fault behind it."""
    log = (
        "\x00\x01\x7f" * 500 + "\n" + "y" * 1_000_000 + " NVRM: Xid (PCI:0000:09:00): 48\n"
        "[Mon Mar  3 04:05:06 2025] NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 31, pid=1, name=a\r\n"
        '{"_HOSTNAME":"node-1","MESSAGE":"NVRM: Xid (0000:3c:00.0): 79, GPU has fallen off the bus."}\n'
        "NVRM: Xid (GPU-0123abcd-0123-0123-0123-0123456789ab): 63\n"
    )
    said = quarterdeck("xid", "--json", stdin=log)
    assert (said.code, said.json["lines"], said.json["unreadable"]) == (1, 5, 0)
    told = [(each["code"], each["device"], each["host"], each["uuid"]) for each in said.json["faults"]]
    assert told == [
        (79, "0000:3c:00", "node-1", None),
        (31, "0000:3b:00", None, None),
        (63, None, None, "GPU-0123abcd-0123-0123-0123-0123456789ab"),
    ]
