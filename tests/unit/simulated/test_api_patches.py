"""The patch formats, on the shapes that clients send."""

from __future__ import annotations

from typing import Any

import pytest

from backends.simulated.objects import Json, copy_json
from backends.simulated.patches import JSON_PATCH, MERGE, STRATEGIC, apply_patch
from backends.simulated.statuses import Refused

NODE: Json = {
    "metadata": {"name": "n", "labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
    "spec": {"taints": [{"key": "one", "effect": "NoSchedule"}, {"key": "two", "effect": "NoExecute"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Full", "status": "False"}]},
}


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
def test_a_null_removes_and_the_rest_stays(media: str) -> None:
    patched = apply_patch(media, NODE, {"metadata": {"labels": {"a": None, "c": "3"}}})
    assert patched["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert patched["spec"] == NODE["spec"]


@pytest.mark.parametrize("media", [MERGE, STRATEGIC])
def test_taints_are_replaced_whole(media: str) -> None:
    new = [{"key": "three", "effect": "NoSchedule"}]
    assert apply_patch(media, NODE, {"spec": {"taints": new}})["spec"]["taints"] == new


def test_a_delete_directive_in_taints_rewrites_them_instead() -> None:
    patch = {"spec": {"taints": [{"$patch": "delete", "key": "one", "effect": "NoSchedule"}]}}
    assert apply_patch(STRATEGIC, NODE, patch)["spec"]["taints"] == [{"key": "one", "effect": "NoSchedule"}]


def test_a_strategic_patch_merges_conditions_by_type_and_a_merge_patch_does_not() -> None:
    patch = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    strategic = apply_patch(STRATEGIC, NODE, patch)["status"]["conditions"]
    assert strategic == [{"type": "Ready", "status": "Unknown"}, {"type": "Full", "status": "False"}]
    assert apply_patch(MERGE, NODE, patch)["status"]["conditions"] == [{"type": "Ready", "status": "Unknown"}]


@pytest.mark.parametrize(
    ("patch", "conditions"),
    [
        ([{"$patch": "delete", "type": "Ready"}], ["Full"]),
        ([{"$patch": "replace"}, {"type": "New", "status": "True"}], ["New"]),
        ([{"type": "New", "status": "True"}], ["Ready", "Full", "New"]),
    ],
)
def test_list_directives_work_where_a_merge_key_is_known(patch: Any, conditions: list[str]) -> None:
    patched = apply_patch(STRATEGIC, NODE, {"status": {"conditions": patch}})
    assert [each["type"] for each in patched["status"]["conditions"]] == conditions


def test_an_element_order_is_followed() -> None:
    status = {
        "$setElementOrder/conditions": [{"type": "Full"}, {"type": "Ready"}],
        "conditions": [{"type": "Ready", "status": "False"}],
    }
    patched = apply_patch(STRATEGIC, NODE, {"status": status})
    assert [each["type"] for each in patched["status"]["conditions"]] == ["Full", "Ready"]


def test_finalizers_are_a_set() -> None:
    added = apply_patch(STRATEGIC, NODE, {"metadata": {"finalizers": ["y", "z"]}})
    assert added["metadata"]["finalizers"] == ["x", "y", "z"]
    removed = apply_patch(STRATEGIC, NODE, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}})
    assert removed["metadata"]["finalizers"] == ["y"]


def test_object_directives_replace_delete_and_retain() -> None:
    replaced = apply_patch(STRATEGIC, NODE, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}})
    assert replaced["metadata"]["labels"] == {"c": "3"}
    deleted = apply_patch(STRATEGIC, NODE, {"metadata": {"labels": {"$patch": "delete"}}})
    assert deleted["metadata"]["labels"] == {}
    retained = apply_patch(STRATEGIC, NODE, {"metadata": {"labels": {"$retainKeys": ["a"]}}})
    assert retained["metadata"]["labels"] == {"a": "1"}


@pytest.mark.parametrize(
    ("operations", "labels"),
    [
        ([{"op": "add", "path": "/metadata/labels/x~1y", "value": "3"}], {"a": "1", "b": "2", "x/y": "3"}),
        ([{"op": "replace", "path": "/metadata/labels/a", "value": "9"}], {"a": "9", "b": "2"}),
        ([{"op": "remove", "path": "/metadata/labels/a"}], {"b": "2"}),
        ([{"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/c"}], {"b": "2", "c": "1"}),
        ([{"op": "copy", "from": "/metadata/labels/a", "path": "/metadata/labels/b"}], {"a": "1", "b": "1"}),
        ([{"op": "test", "path": "/metadata/labels/a", "value": "1"}], {"a": "1", "b": "2"}),
    ],
)
def test_json_patch_operations(operations: Any, labels: Json) -> None:
    assert apply_patch(JSON_PATCH, NODE, operations)["metadata"]["labels"] == labels


def test_json_patch_reaches_into_lists() -> None:
    operations = [
        {"op": "add", "path": "/spec/taints/-", "value": {"key": "3"}},
        {"op": "remove", "path": "/spec/taints/0"},
    ]
    assert [each["key"] for each in apply_patch(JSON_PATCH, NODE, operations)["spec"]["taints"]] == [
        "two",
        "3",
    ]


@pytest.mark.parametrize(
    ("media", "patch", "code"),
    [
        (JSON_PATCH, [{"op": "test", "path": "/metadata/labels/a", "value": "2"}], 422),
        (JSON_PATCH, [{"op": "remove", "path": "/metadata/nothing"}], 422),
        (JSON_PATCH, [{"op": "dance", "path": "/metadata"}], 422),
        (JSON_PATCH, ["op"], 422),
        (JSON_PATCH, {"op": "add"}, 400),
        (MERGE, [], 400),
        (STRATEGIC, "text", 400),
        (STRATEGIC, {"status": {"conditions": [{"status": "True"}]}}, 422),
        (STRATEGIC, {"status": {"conditions": ["Ready"]}}, 400),
    ],
)
def test_a_patch_without_sense_is_refused(media: str, patch: Any, code: int) -> None:
    with pytest.raises(Refused) as refused:
        apply_patch(media, NODE, patch)
    assert refused.value.code == code


def test_neither_the_object_nor_the_patch_is_changed() -> None:
    before = copy_json(NODE)
    patch = {"status": {"conditions": [{"type": "New", "status": "True"}]}}
    apply_patch(STRATEGIC, NODE, patch)["status"]["conditions"][-1]["status"] = "changed"
    assert before == NODE
    assert patch == {"status": {"conditions": [{"type": "New", "status": "True"}]}}
