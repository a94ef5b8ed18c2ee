"""The look a dashboard begins with: what was chosen, else what the terminal's encoding can show."""

from __future__ import annotations

import io
import locale
import os
import subprocess
import sys

import pytest

from tui.choice import Choice
from tui.chosen import notice
from tui.looks import fitted
from tui.settings import Settings
from tui.streams import settle
from widgets.glyphs import ASCII, UNICODE


def test_a_terminal_that_can_not_show_our_signs_gets_the_ascii_theme_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "ISO-8859-1")
    found = fitted(Choice(Settings()))
    assert found.settings.theme == "ascii"
    assert "the encoding ISO-8859-1 lacks our signs" in notice(found)


def test_a_theme_that_was_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "ANSI_X3.4-1968")
    asked = Choice(Settings(theme="light"))
    assert fitted(asked) is asked


def test_a_terminal_of_unicode_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "UTF-8")
    asked = Choice(Settings())
    assert fitted(asked) is asked
    assert notice(asked) == ""


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LC_ALL": "C"}, "ANSI_X3.4-1968"),
        ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"}, "ascii"),
        ({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": ""}, ""),
    ],
)
def test_the_locale_counts_whatever_python_makes_of_its_streams(
    environment: dict[str, str], says: str
) -> None:
    asked = "from tui.streams import lacking; print(lacking('●'))"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.stdout.strip() == says


def test_every_sign_counts() -> None:
    assert set("●▌…°─") <= set(UNICODE.letters)
    assert ASCII.letters.isascii()


def test_what_is_typed_beyond_the_encoding_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\n".encode()), encoding="ascii"))
    settle()
    assert sys.stdin.readline() == "\\xc3\\xa9\n"
