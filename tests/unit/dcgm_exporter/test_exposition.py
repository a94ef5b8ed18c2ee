"""The text format as exporters write it, and what is not it."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.dcgm_exporter.exposition import Sample, read_page
from fleet.errors import Garbled

WANTED = {"UTIL", "TEMP"}


def read(page: str) -> list[Sample]:
    return list(read_page(page, WANTED, "http://gpu-1:9400/metrics"))


@pytest.mark.parametrize(
    "line",
    [
        'UTIL{gpu="0",UUID="GPU-a"} 97',
        'UTIL{gpu="0", UUID="GPU-a"} 97',
        'UTIL{gpu="0",UUID="GPU-a",} 97',
        'UTIL {gpu = "0" , UUID = "GPU-a"}\t97.0',
        '  UTIL{gpu="0",UUID="GPU-a"}   9.7e1  ',
        'UTIL{gpu="0",UUID="GPU-a"} 97\r',
    ],
)
def test_labels_are_read_however_they_are_spaced(line: str) -> None:
    assert read(line) == [Sample("UTIL", {"gpu": "0", "UUID": "GPU-a"}, 97, None)]


def test_a_sample_may_have_no_labels() -> None:
    assert read("UTIL 5\nUTIL{} 6") == [Sample("UTIL", {}, 5, None), Sample("UTIL", {}, 6, None)]


def test_comments_blank_lines_and_foreign_metrics_are_passed_over() -> None:
    page = "# HELP UTIL GPU Temp (in °C).\n# TYPE OTHER gauge\nUTIL 1\n\n# a comment\n\n   \nOTHER 3\nUTIL 2\n# EOF"
    assert [sample.value for sample in read(page)] == [1, 2]


def test_escapes_in_a_value_are_undone() -> None:
    (sample,) = read(r'UTIL{a="say \"hi\", \\ and\nmore",b="}{ # ,="} 1')
    assert sample.labels == {"a": 'say "hi", \\ and\nmore', "b": "}{ # ,="}


def test_a_timestamp_is_in_milliseconds() -> None:
    assert read("UTIL 1 1772334000000")[0].at_ms == 1772334000000


@pytest.mark.parametrize(
    ("written", "value"), [("+Inf", math.inf), ("-Inf", -math.inf), ("9223372036854775794", 9.2e18)]
)
def test_huge_values_come_as_they_are(written: str, value: float) -> None:
    assert read(f"UTIL {written}")[0].value == pytest.approx(value, rel=0.01)


def test_not_a_number_comes_as_it_is() -> None:
    assert math.isnan(read("UTIL NaN")[0].value)


def test_samples_with_the_same_labels_share_them() -> None:
    first, second = read('UTIL{gpu="0"} 1\nTEMP{gpu="0"} 2')
    assert first.labels is second.labels


def test_a_byte_order_mark_is_passed_over() -> None:
    assert len(read("\ufeffUTIL 1")) == 1


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("<html><body>Sign in</body></html>", 1),
        ('{"status":"error"}', 1),
        ("UTIL 1\nWelcome to the exporter", 2),
        ('UTIL 1\n# fine\nUTIL{gpu="0",UU', 3),
        ('UTIL{gpu="0"}', 1),
        ("UTIL", 1),
        ('UTIL{gpu="0"} many', 1),
        ("UTIL{gpu=0} 1", 1),
        ("UTIL 1 2 3", 1),
    ],
)
def test_what_is_no_page_is_garbled_at_its_line(page: str, line: int) -> None:
    with pytest.raises(Garbled, match=rf"http://gpu-1:9400/metrics: line {line} "):
        read(page)


def test_what_was_garbled_is_shown_short_and_clean() -> None:
    with pytest.raises(Garbled) as caught:
        read("\x1b[31m" + "x" * 40_000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.text())
def test_any_text_is_samples_or_garbled(page: str) -> None:
    samples = []
    with contextlib.suppress(Garbled):
        samples = read(page)
    assert all(sample.metric in WANTED for sample in samples)


@given(
    st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), st.text(max_size=20), max_size=4)
)
def test_what_was_escaped_is_read_back(labels: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

    written = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    page = f"UTIL{{{written}}} 1"
    if "\r" not in page:
        assert read(page)[0].labels == labels
