"""Label and field selectors, in the query's text form and as the objects of budgets and controllers carry them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.simulated.objects import Json
from backends.simulated.resources import EVENTS, EVENTS_V1, NAMESPACES, NODES, PODS, RESOURCESLICES, Resource
from backends.simulated.statuses import bad_request

Labels = Mapping[str, str]
_Requirement = Callable[[Labels], bool]

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\((.*)\)")
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_PRESENCE = re.compile(rf"(!?)\s*({_KEY})")
_OUTSIDE_BRACKETS = re.compile(r",(?![^(]*\))")

_FIELDS: dict[Resource, tuple[str, ...]] = {
    NODES: ("spec.unschedulable",),
    NAMESPACES: ("status.phase",),
    PODS: (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
    ),
    RESOURCESLICES: ("spec.driver", "spec.nodeName"),
    EVENTS: (
        "involvedObject.apiVersion",
        "involvedObject.fieldPath",
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.resourceVersion",
        "involvedObject.uid",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
}


def parse_labels(text: str) -> Callable[[Labels], bool]:
    """What a `labelSelector` admits: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas."""
    requirements = [_requirement(term.strip()) for term in _OUTSIDE_BRACKETS.split(text) if term.strip()]
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(term: str) -> _Requirement:
    if found := _SET.fullmatch(term):
        key, operator, listed = found.groups()
        values = {each.strip() for each in listed.split(",")}
        return _is_in(key, values) if operator == "in" else _is_not_in(key, values)
    if found := _EQUALITY.fullmatch(term):
        key, operator, value = found.groups()
        return _is_not_in(key, {value or ""}) if operator == "!=" else _is_in(key, {value or ""})
    if found := _PRESENCE.fullmatch(term):
        absent, key = found.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {term!r}")


def _is_in(key: str, values: set[str]) -> _Requirement:
    return lambda labels: key in labels and labels[key] in values


def _is_not_in(key: str, values: set[str]) -> _Requirement:
    return lambda labels: key not in labels or labels[key] not in values


def label_selector_admits(selector: Json | None, labels: Labels) -> bool:
    """Whether a LabelSelector object takes these labels: an empty one takes all, an absent one none."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression_admits(each, labels) for each in selector.get("matchExpressions") or [])


def _expression_admits(expression: Json, labels: Labels) -> bool:
    key, values = expression["key"], set(expression.get("values") or [])
    match expression["operator"]:
        case "In":
            return _is_in(key, values)(labels)
        case "NotIn":
            return _is_not_in(key, values)(labels)
        case "Exists":
            return key in labels
        case _:
            return key not in labels


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One comparison of a `fieldSelector`."""

    path: tuple[str, ...]
    equal: bool
    value: str

    def admits(self, obj: Json) -> bool:
        return (_field(obj, self.path) == self.value) == self.equal


def parse_fields(resource: Resource, text: str) -> Sequence[FieldTerm]:
    """The comparisons of a `fieldSelector`, all of which must hold; refused (400) for a field not supported."""
    return [_term(resource, each) for each in text.split(",") if each]


def _term(resource: Resource, text: str) -> FieldTerm:
    found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if not found:
        raise bad_request(f"invalid field selector: {text!r}; can't understand it")
    field, operator, value = found.groups()
    if resource is EVENTS_V1:
        # The view has other names for what is kept once, in the core shape.
        resource, field = EVENTS, re.sub(r"^regarding\.", "involvedObject.", field)
        field = "reportingComponent" if field == "reportingController" else field
    if field not in ("metadata.name", "metadata.namespace", *_FIELDS.get(resource, ())):
        raise bad_request(f"field label not supported: {field}")
    path = ("source", "component") if field == "source" else tuple(field.split("."))
    return FieldTerm(path, operator != "!=", value)


def _field(obj: Json, path: tuple[str, ...]) -> str:
    value: object = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path == ("spec", "unschedulable") else ""
    return str(value)
