"""GPU faults in kernel logs: every form a line comes in, what messages add, and logs that are no logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.policy import Policy
from fleet.xid import Severity
from fleet.xid_log import FAULTS_LIMIT, Digest, Fault, Kind, LogReader, asks_of


def read(log: str, policy: Policy | None = None) -> Digest:
    return LogReader(policy or Policy()).read(line.encode() for line in log.splitlines(keepends=True))


def only(log: str, policy: Policy | None = None) -> Fault:
    (fault,) = read(log, policy).faults
    return fault


@pytest.mark.parametrize(
    ("where", "device"),
    [
        ("(PCI:0000:38:00)", "0000:38:00"),
        ("(PCI:0000:38:00.0)", "0000:38:00"),
        ("(0000:38:00.0)", "0000:38:00"),
        ("(PCI:00000000:AF:00.0)", "0000:af:00"),
        ("(PCI:0009:01:00)", "0009:01:00"),
        ("(0000:18:00)", "0000:18:00"),
        ("(18:00.0)", "0000:18:00"),
        ("(PCI:0000:3b:00 GPU-I:05)", "0000:3b:00"),
        ("(0000:3B:00.0 GPU-I:00)", "0000:3b:00"),
        ("", ""),
        ("(PCI:nonsense)", ""),
    ],
)
def test_a_device_is_read_in_every_form(where: str, device: str) -> None:
    fault = only(f"NVRM: Xid {where}: 79, pid=7, GPU has fallen off the bus.")
    assert (fault.code, fault.device, fault.severity) == (79, device, Severity.FAIL)


@pytest.mark.parametrize(
    ("stamp", "when"),
    [
        ("[Mon Mar  3 04:05:06 2025] ", "Mon Mar  3 04:05:06 2025"),
        ("[ 1234.567890] ", "1234.567890"),
        ("<3>[1234.5] ", "1234.5"),
        ("2025-03-03T04:05:06,123456+01:00 ", "2025-03-03T04:05:06,123456+01:00"),
        ("2025-03-03T04:05:06.123456Z node-1 kernel: ", "2025-03-03T04:05:06.123456Z"),
        ("Mar  3 04:05:06 node-1 kernel: ", "Mar  3 04:05:06"),
        ("Mar  3 04:05:06 node-1 kernel: [1234.567890] ", "Mar  3 04:05:06"),
        ("3,4711,1234567890,-;", "1234567890"),
        ("", ""),
    ],
)
def test_a_time_is_kept_as_the_log_wrote_it(stamp: str, when: str) -> None:
    fault = only(f"{stamp}NVRM: Xid (PCI:0000:01:00): 48")
    assert (fault.code, fault.first, fault.last) == (48, when, when)
    assert fault.host == ("node-1" if "node-1" in stamp else "")


@pytest.mark.parametrize(
    ("rest", "process", "says"),
    [
        (", pid='<unknown>', name=<unknown>, Ch 00000001", "", "Ch 00000001"),
        (", pid=<unknown>, Ch 00000001", "", "Ch 00000001"),
        (", pid=42, name=trainer, Ch 00000001", "trainer (pid 42)", "Ch 00000001"),
        (", pid=42, name=nvc:[driver], Timeout after 6s", "nvc:[driver] (pid 42)", "Timeout after 6s"),
        (", pid=42, name=a,b [c], Ch 00000001", "a,b [c] (pid 42)", "Ch 00000001"),
        (", pid=42, name=trainer", "trainer (pid 42)", ""),
        (", pid=42", "pid 42", ""),
        (", Ch 00000001", "", "Ch 00000001"),
        ("", "", ""),
        (", pid='", "", "'"),
    ],
)
def test_a_process_is_told_from_the_message(rest: str, process: str, says: str) -> None:
    fault = only(f"NVRM: Xid (PCI:0000:01:00): 32{rest}")
    assert (fault.process, fault.says) == (process, says)


def test_the_same_fault_again_is_counted() -> None:
    fault = only(
        "[10.5] NVRM: Xid (PCI:0000:01:00): 13, pid=1, name=a, Exception\n"
        "[11.5] NVRM: Xid (0000:01:00.0): 13, pid=2, name=b, Exception\n"
    )
    assert (fault.count, fault.first, fault.last, fault.process) == (2, "10.5", "11.5", "a (pid 1)")


def test_faults_of_several_gpus_and_hosts_stay_apart_the_hardest_first() -> None:
    digest = read(
        "Mar  3 04:05:06 node-1 kernel: NVRM: Xid (PCI:0000:01:00): 13\n"
        "Mar  3 04:05:06 node-2 kernel: NVRM: Xid (PCI:0000:01:00): 13\n"
        "Mar  3 04:05:07 node-2 kernel: NVRM: Xid (PCI:0000:02:00): 79\n"
    )
    assert [(fault.host, fault.device, fault.code) for fault in digest.faults] == [
        ("node-2", "0000:02:00", 79),
        ("node-1", "0000:01:00", 13),
        ("node-2", "0000:01:00", 13),
    ]
    assert digest.worst is Severity.FAIL


def test_the_uuid_of_a_gpu_is_taken_from_the_line_that_names_it() -> None:
    fault = only(
        "NVRM: GPU at PCI:0000:9b:00: GPU-0123abcd-0123-0123-0123-0123456789ab\n"
        "NVRM: Xid (PCI:0000:9b:00): 94, pid=1, name=a, Contained"
    )
    assert fault.uuid == "GPU-0123abcd-0123-0123-0123-0123456789ab"


def test_a_gpu_lost_over_three_lines_without_an_xid_is_found() -> None:
    fault = only(
        "[ 77.125000] NVRM: The NVIDIA GPU 0000:b3:00.0\n"
        "             NVRM: (PCI ID: 10de:26b5) installed in this system has\n"
        "             NVRM: fallen off the bus and is not responding to commands.\n"
    )
    assert (fault.kind, fault.device, fault.first, fault.severity) == (
        Kind.LOST,
        "0000:b3:00",
        "77.125000",
        Severity.FAIL,
    )
    assert (fault.label, asks_of(fault)) == ("GPU lost, without an XID", "restart the machine")


def test_a_gpu_lost_on_one_line_is_found() -> None:
    log = "NVRM: The NVIDIA GPU 0000:b4:00.0 fallen off the bus and is not responding to commands."
    assert only(log).device == "0000:b4:00"


def test_a_loss_that_an_xid_79_tells_too_is_told_once() -> None:
    fault = only(
        "NVRM: Xid (PCI:0000:91:00): 79, pid=1, GPU has fallen off the bus.\n"
        "NVRM: GPU 0000:91:00.0: GPU has fallen off the bus.\n"
    )
    assert (fault.kind, fault.count) == (Kind.XID, 1)


def test_words_of_a_loss_far_from_a_device_are_nobody_s() -> None:
    between = "NVRM: loading the module\n" * 5
    log = f"NVRM: The NVIDIA GPU 0000:b3:00.0\n{between}NVRM: fallen off the bus"
    assert read(log).faults == ()


def test_the_history_after_a_gsp_timeout_is_no_fault_of_its_own() -> None:
    fault = only(
        "NVRM: Xid (PCI:0000:9b:00): 119, pid=1, name=a, Timeout after 6s of waiting for RPC response from GPU4 GSP!\n"
        "NVRM: GPU4 GSP RPC buffer contains function 103 (GSP_RM_ALLOC) and data 0x1 0x4.\n"
        "NVRM: GPU4 RPC history (CPU -> GSP):\n"
        "NVRM:     entry function                   data0              data1\n"
        "NVRM:      0    103  GSP_RM_ALLOC          0x0000000000002081 0x0000000000000004\n"
    )
    assert (fault.code, fault.count) == (119, 1)


@pytest.mark.parametrize(
    ("to", "recovery", "severity"),
    [
        ("0x0 (None)", "none", Severity.INFO),
        ("0x1 (GPU Reset Required)", "GPU reset", Severity.FAIL),
        ("0x2 (Node Reboot Required)", "node reboot", Severity.FAIL),
        ("0x3 (Drain P2P)", "drain P2P", Severity.WARN),
        ("4", "drain and reset", Severity.FAIL),
        ("0x7 (System Reboot)", "system reboot", Severity.FAIL),
        ("010 (Dance)", "Dance", Severity.FOLLOW),
    ],
)
def test_the_recovery_action_of_154_decides(to: str, recovery: str, severity: Severity) -> None:
    log = f"NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to {to}"
    fault = only(log)
    assert (fault.recovery, fault.severity) == (recovery, severity)


def test_a_154_that_was_cut_off_is_left_to_be_followed() -> None:
    assert only("NVRM: Xid (PCI:0000:01:00): 154 (").severity is Severity.FOLLOW


def test_what_is_to_be_looked_into_later_is_told_too() -> None:
    assert (
        only("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.").investigate == "CONTACT_SUPPORT"
    )
    start = "NVRM: Xid (PCI:0000:01:00): 145, RLW_REMAP Nonfatal XC1 i0 Link 10"
    assert only(f"{start} (0x00000004 0x00000004 0x0 0x0)").investigate == "CHECK_NVLINK_FAILURE_FLOW"
    assert only(f"{start} (0x00000004").investigate == "WORKFLOW_NVLINK5_ERR"


def test_the_registers_of_an_nvlink_fault_decide() -> None:
    start = "NVRM: Xid (PCI:0000:01:00): 145, RLW_REMAP"
    hard = only(f"{start} Nonfatal XC1 i0 Link 10 (0x00000004 0x00000040 0x0 0x0 0x0 0x0)")
    assert (hard.severity, hard.part, hard.link, hard.action) == (
        Severity.FAIL,
        "RLW_REMAP",
        10,
        "RESET_GPU",
    )
    cut = only(f"{start} Nonfatal XC1 i0 Link 10 (0x000")
    assert (cut.severity, cut.link) == (Severity.WARN, 10)
    assert only("NVRM: Xid (PCI:0000:01:00): 145").severity is Severity.DECODE


@pytest.mark.parametrize(
    ("rest", "severity"),
    [
        ("Fatal, Link 48 LTSSM Fault Up", Severity.FAIL),
        ("Non-fatal, Link 32 egress error (First)", Severity.WARN),
    ],
)
def test_an_nvswitch_s_sxid_is_found(rest: str, severity: Severity) -> None:
    fault = only(
        f"[ 9.1] nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, {rest}\n"
        "[ 9.1] nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Severity 1 Engine instance 60\n"
        "[ 9.1] nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Data {0x1, 0x2}\n"
    )
    assert (fault.kind, fault.code, fault.device, fault.severity, fault.count) == (
        Kind.SXID,
        20034,
        "0000:06:00",
        severity,
        1,
    )
    assert fault.label == "SXid 20034"


def test_a_code_that_is_no_number_is_counted_and_its_line_named() -> None:
    digest = read("hello\nNVRM: Xid (PCI:0000:01:00): INVALID, pid=1\nNVRM: Xid (PCI:0000:01:00): ²\n")
    assert (digest.faults, digest.unreadable, digest.first_unreadable) == ((), 2, 2)


@pytest.mark.parametrize(
    "line",
    [
        "[ 9.1] NVRM: Xid banana",
        "[ 9.1] NVRM: Xid (PCI:0000:38:00 79, cut off",
        "[ 9.1] NVRM: Xid",
        "[ 9.1] nvidia-nvswitch1: SXid (PCI:0000:06:00.0) what",
    ],
)
def test_a_line_that_begins_an_xid_and_has_no_code_is_counted_and_kept(line: str) -> None:
    digest = read(f"hello\n{line}\nNVRM: Xid (PCI:0000:01:00): 79\n")
    assert (len(digest.faults), digest.unreadable, digest.first_unreadable) == (1, 1, 2)
    assert digest.unreadable_says == line


def test_an_unreadable_line_is_shown_cleaned_and_bounded() -> None:
    says = read("\x1b[31mNVRM: Xid " + "banana" * 10_000).unreadable_says
    assert "\x1b" not in says
    assert len(says) <= 300


def test_a_code_nobody_lists_is_a_warning() -> None:
    fault = only("NVRM: Xid (PCI:0000:01:00): 999, pid=1, name=a")
    assert (fault.label, fault.severity) == ("XID 999", Severity.WARN)


def test_the_site_s_policy_wins_over_default_and_decoding() -> None:
    policy = Policy(xid_severity={13: Severity.FAIL, 79: Severity.INFO, 154: Severity.WARN})
    assert only("NVRM: Xid (PCI:0000:01:00): 13", policy).severity is Severity.FAIL
    assert only("NVRM: Xid (PCI:0000:01:00): 79", policy).severity is Severity.INFO
    reset = "NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset)"
    assert only(reset, policy).severity is Severity.WARN


def test_escape_sequences_and_endless_lines_are_harmless() -> None:
    hostile = only(
        f"NVRM: Xid (PCI:0000:01:00): 31, pid=1, name=\x1b[2Jevil, Ch \x1b]0;owned\x07{'x' * 100_000}"
    )
    assert not {"\x1b", "\x07"} & set(hostile.says + hostile.process)
    assert len(hostile.says) <= 300


def test_a_line_wrapped_in_json_is_read() -> None:
    fault = only('{"_HOSTNAME":"node-1","MESSAGE":"NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=a, GPU has"}')
    assert (fault.code, fault.device) == (79, "0000:01:00")


UUID = "GPU-0123abcd-0123-0123-0123-0123456789ab"


@pytest.mark.parametrize("where", [f"({UUID})", f"(UUID: {UUID})"])
def test_a_gpu_named_by_its_uuid_is_one_of_its_own(where: str) -> None:
    one, other = read(
        f"NVRM: Xid {where}: 79, GPU has fallen off the bus.\n"
        f"NVRM: Xid ({UUID[:-1]}c): 79, GPU has fallen off the bus.\n"
        f"NVRM: Xid {where}: 79, GPU has fallen off the bus.\n"
    ).faults
    assert (one.uuid, one.device, one.count) == (UUID, "", 2)
    assert (other.uuid, other.count) == (f"{UUID[:-1]}c", 1)


@pytest.mark.parametrize(
    "message",
    [
        '"NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=a, GPU has"',
        str(list(b"NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=a, GPU has \xff\x00")),
    ],
)
def test_an_entry_of_the_journal_keeps_its_host_and_time(message: str) -> None:
    told = f'"_HOSTNAME":"node-1","pad":"{"x" * 9000}","__REALTIME_TIMESTAMP":"1741000000123456"'
    fault = only(f'{{{told},"MESSAGE":{message}}}')
    assert (fault.code, fault.device, fault.host) == (79, "0000:01:00", "node-1")
    assert (fault.first, fault.process) == ("2025-03-03T11:06:40Z", "a (pid 1)")


@pytest.mark.parametrize(
    "entry",
    ['{"MESSAGE": 79}', '{"MESSAGE": [1, 999]}', "{" * 5000, '{"MESSAGE": null} NVRM', '{"a":' * 9000],
)
def test_an_entry_that_is_none_is_an_ordinary_line(entry: str) -> None:
    assert read(f"{entry} NVRM\n").faults == ()


def test_a_time_that_can_not_be_is_left_out() -> None:
    fault = only('{"__REALTIME_TIMESTAMP":"99999999999999999","MESSAGE":"NVRM: Xid (PCI:0000:01:00): 79"}')
    assert fault.code == 79


def test_a_fault_far_along_a_line_is_read() -> None:
    fault = only(f"{'x' * 50_000} NVRM: Xid (PCI:0000:01:00): 79, pid=7, name=a, GPU has")
    assert (fault.code, fault.process) == (79, "a (pid 7)")


def test_lines_that_end_as_windows_ends_them_are_read() -> None:
    fault = only("NVRM: Xid (PCI:0000:01:00): 79\r\n[1.5] NVRM: Xid (PCI:0000:01:00): 79, pid=7, name=a\r\n")
    assert (fault.count, fault.says, fault.last) == (2, "", "1.5")


def test_no_more_faults_are_kept_than_a_screen_could_ever_show() -> None:
    lines = (f"NVRM: Xid (PCI:{domain:04x}:01:00): 13".encode() for domain in range(FAULTS_LIMIT + 3))
    digest = LogReader(Policy()).read(lines)
    assert (len(digest.faults), digest.beyond) == (FAULTS_LIMIT, 3)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_read(lines: list[bytes]) -> None:
    assert LogReader(Policy()).read(lines).lines == len(lines)


_PIECES = st.sampled_from(
    [
        *("NVRM: ", "Xid ", "(PCI:0000:01:00)", "(", ")", ": ", "79", "154", "145", ", pid=", "'<unknown>'"),
        *(
            ", name=",
            "GPU recovery action changed from ",
            " to ",
            "0x1",
            "010",
            "RLW_REMAP Fatal ",
            "Link 1 ",
        ),
        *("(0x1 0x2)", "nvidia-nvswitch0: SXid ", "The NVIDIA GPU 0000:b3:00.0", "fallen off the bus", "\n"),
        *("\x1b[31m", "²", "[12.5] ", "<3>", "GPU at PCI:0000:01:00: GPU-", "Fatal"),
    ]
)


@given(st.lists(_PIECES, max_size=25))
def test_any_pieces_of_kernel_lines_are_read(pieces: list[str]) -> None:
    log = "".join(pieces)
    for fault in read(log).faults:
        assert asks_of(fault)
        assert "\x1b" not in fault.says
