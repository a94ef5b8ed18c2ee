"""The query of a list or watch, read and checked as the API server checks its ListOptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.simulated.event_view import kept_as
from backends.simulated.objects import ObjectStore, Stored
from backends.simulated.resources import PODS, Resource
from backends.simulated.selectors import FieldTerm, Labels, parse_fields, parse_labels
from backends.simulated.statuses import bad_request, cause, invalid

MATCHES = ("Exact", "NotOlderThan")


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that a request is about: a kind, perhaps a namespace, and what its selectors admit."""

    resource: Resource
    namespace: str | None
    labels: Callable[[Labels], bool] | None
    fields: Sequence[FieldTerm]
    text: str
    """Both selectors as they were written, to tell one query's pages from another's."""

    def admits(self, stored: Stored) -> bool:
        """Whether the kept object `stored` is among them."""
        obj = stored.object
        if self.namespace is not None and obj["metadata"].get("namespace") != self.namespace:
            return False
        if self.labels and not self.labels(obj["metadata"].get("labels") or {}):
            return False
        return all(term.admits(obj) for term in self.fields)

    def rows(self, store: ObjectStore) -> Sequence[Stored]:
        """The objects as they are now, in order."""
        kept = kept_as(self.resource)
        exact = {term.path: term.value for term in self.fields if term.equal}
        if kept is PODS and (node := exact.get(("spec", "nodeName"))):
            rows = store.stored_pods_on(node)
        elif ("metadata", "name") in exact and (self.namespace or not kept.namespaced):
            found = store.stored(kept, exact["metadata", "name"], self.namespace or "")
            rows = [found] if found else []
        else:
            rows = store.all_stored(kept, self.namespace)
            if not self.labels and not self.fields:
                return rows
        return [stored for stored in rows if self.admits(stored)]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """A list's or watch's query."""

    selection: Selection
    limit: int
    continue_token: str
    version: int | None
    """`resourceVersion`; None where the query names none, 0 for 'any will do'."""
    match: str
    watch: bool
    timeout_seconds: int | None
    bookmarks: bool
    initial_events: bool | None


def list_options(resource: Resource, namespace: str | None, query: Mapping[str, str]) -> ListOptions:
    """Read a query; refused with 400 for what cannot be read and 422 for what does not go together."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    selection = Selection(
        resource,
        namespace,
        parse_labels(labels) if labels else None,
        parse_fields(resource, fields),
        f"{labels}\n{fields}",
    )
    initial = query.get("sendInitialEvents")
    options = ListOptions(
        selection=selection,
        limit=_number(query, "limit") or 0,
        continue_token=query.get("continue", ""),
        version=_number(query, "resourceVersion"),
        match=query.get("resourceVersionMatch", ""),
        watch=_true(query.get("watch")),
        timeout_seconds=_number(query, "timeoutSeconds"),
        bookmarks=_true(query.get("allowWatchBookmarks")),
        initial_events=_true(initial) if initial is not None else None,
    )
    _check(options)
    return options


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise bad_request(f'Invalid value: "{text}": {name} must be a whole number')
    return int(text)


def _true(text: str | None) -> bool:
    return text is not None and text.lower() not in ("", "0", "false", "f")


def _check(options: ListOptions) -> None:
    wrong = [cause("FieldValueForbidden", f"Forbidden: {why}", field) for field, why in _misfits(options)]
    if options.match and options.match not in MATCHES:
        why = f'Unsupported value: "{options.match}": supported values: "Exact", "NotOlderThan"'
        wrong.append(cause("FieldValueNotSupported", why, "resourceVersionMatch"))
    if wrong:
        raise invalid("meta.k8s.io", "ListOptions", "", wrong)
    if options.continue_token and options.version:
        raise bad_request("specifying resource version is not allowed when using continue")


def _misfits(options: ListOptions) -> Sequence[tuple[str, str]]:
    wrong = []
    match, initial = "resourceVersionMatch", "sendInitialEvents"
    if options.watch:
        if options.initial_events is not None and options.match != "NotOlderThan":
            wrong.append((initial, f"{initial} requires setting {match} to NotOlderThan"))
        if options.match and options.initial_events is None:
            wrong.append((match, f"{match} is forbidden for watch unless {initial} is provided"))
        return wrong
    if options.initial_events is not None:
        wrong.append((initial, f"{initial} is forbidden for list"))
    if options.match and options.version is None:
        wrong.append((match, f"{match} is forbidden unless resourceVersion is provided"))
    if options.match and options.continue_token:
        wrong.append((match, f"{match} is forbidden when continue is provided"))
    if options.match == "Exact" and options.version == 0:
        wrong.append((match, f'{match} "Exact" is forbidden for resourceVersion "0"'))
    return wrong
