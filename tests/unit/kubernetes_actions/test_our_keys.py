"""The label form of an image."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.kubernetes.our_keys import same_image, slug

LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")


@pytest.mark.parametrize("image", ["v1", "ubuntu-22.04_570", "h100.2026-03"])
def test_an_image_that_is_a_label_stays_as_it_is(image: str) -> None:
    assert slug(image) == image


def test_two_references_never_share_a_label() -> None:
    assert slug("a/b:1") != slug("a:b/1")


@given(st.text(min_size=1))
def test_every_image_has_a_label_that_kubernetes_takes(image: str) -> None:
    assert LABEL.match(slug(image))
    assert same_image(slug(image), image)
    assert same_image(image, image)


def test_no_image_is_no_image() -> None:
    assert not same_image(None, "v1")
    assert not same_image("v2", "v1")
