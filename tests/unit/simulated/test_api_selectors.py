"""Label and field selectors."""

from __future__ import annotations

import pytest

from backends.simulated.objects import Json
from backends.simulated.resources import EVENTS_V1, NODES, PODS
from backends.simulated.selectors import label_selector_admits, parse_fields, parse_labels
from backends.simulated.statuses import Refused

LABELS = {"node.lab/category": "h100", "zone": "a", "empty": ""}


@pytest.mark.parametrize(
    ("text", "admits"),
    [
        ("", True),
        ("node.lab/category=h100", True),
        ("node.lab/category==h100,zone=a", True),
        ("node.lab/category=h100,zone=b", False),
        ("zone!=b", True),
        ("absent!=b", True),
        ("zone!=a", False),
        ("empty=", True),
        ("zone", True),
        ("absent", False),
        ("!absent", True),
        ("!zone", False),
        ("zone in (a,b)", True),
        ("zone in (b, c),node.lab/category", False),
        ("zone notin (b,c)", True),
        ("absent notin (b)", True),
        ("absent in (b)", False),
        (" zone in ( a , b ) , node.lab/category = h100 ", True),
    ],
)
def test_a_label_selector_admits(text: str, admits: bool) -> None:
    assert parse_labels(text)(LABELS) is admits


@pytest.mark.parametrize("text", ["a=b=c", "in (a)", "a in a", "=b", "a>>1"])
def test_a_label_selector_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_labels(text)
    assert refused.value.body["reason"] == "BadRequest"


@pytest.mark.parametrize(
    ("selector", "admits"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"zone": "a"}}, True),
        ({"matchLabels": {"zone": "b"}}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_label_selector_object_admits(selector: Json | None, admits: bool) -> None:
    assert label_selector_admits(selector, LABELS) is admits


POD = {
    "metadata": {"name": "p", "namespace": "d"},
    "spec": {"nodeName": "n1"},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "admits"),
    [
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n2", False),
        ("status.phase!=Succeeded,status.phase!=Failed", True),
        ("status.phase!=Running", False),
        ("metadata.name=p,metadata.namespace=d", True),
        ("status.podIP=", True),
    ],
)
def test_a_field_selector_admits(text: str, admits: bool) -> None:
    assert all(term.admits(POD) for term in parse_fields(PODS, text)) is admits


def test_unschedulable_is_false_where_it_is_absent() -> None:
    (term,) = parse_fields(NODES, "spec.unschedulable=false")
    assert term.admits({"metadata": {}, "spec": {}})
    assert not term.admits({"metadata": {}, "spec": {"unschedulable": True}})


def test_newer_events_are_selected_by_their_own_names() -> None:
    (term,) = parse_fields(EVENTS_V1, "regarding.name=gpu-1")
    assert term.admits({"involvedObject": {"name": "gpu-1"}})


@pytest.mark.parametrize("text", ["spec.nodeIP=1", "nonsense"])
def test_an_unknown_field_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_fields(PODS, text)
