"""Painted lines as values, apart from the table that shows them."""

from __future__ import annotations

import gc
import weakref

from rich.segment import Segment

from widgets.strips import WholeStrip


def test_a_painted_line_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        strip = WholeStrip([Segment("gpu-001")], 7)
        assert strip.divide([7]) == [strip]
        gone = weakref.ref(strip)
        del strip
        assert gone() is None
    finally:
        gc.enable()


def test_a_line_beside_another_widget_is_cut_where_that_begins() -> None:
    strip = WholeStrip([Segment("gpu-001 h100")], 12)
    assert [part.text for part in strip.divide([7, 12])] == ["gpu-001", " h100"]
