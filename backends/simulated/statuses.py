"""The API server's refusals: the Status bodies, with the codes, reasons and details that clients decide by."""

from __future__ import annotations

from collections.abc import Sequence

from backends.simulated.objects import Json
from backends.simulated.resources import Resource

STALE = "the object has been modified; please apply your changes to the latest version and try again"


class Refused(Exception):
    """A request that is answered with a Status of failure; raised anywhere below the server, sent by it."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        retry_after: int | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        if retry_after is not None:
            details = {**(details or {}), "retryAfterSeconds": retry_after}
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": continue_token} if continue_token else {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details else {}),
            "code": code,
        }


def cause(reason: str, message: str, field: str = "") -> Json:
    """One entry of `details.causes`."""
    return {"reason": reason, "message": message, **({"field": field} if field else {})}


def details_of(resource: Resource, name: str = "") -> Json:
    """`details` that name an object, as most refusals carry them."""
    named = {"name": name} if name else {}
    grouped = {"group": resource.group} if resource.group else {}
    return {**named, **grouped, "kind": resource.plural}


def success(code: int, details: Json | None = None) -> Json:
    """The Status of a done deletion (200) or eviction (201)."""
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return {**said, **({"details": details} if details else {}), **({"code": code} if code != 200 else {})}


def not_found(resource: Resource, name: str) -> Refused:
    message = f'{resource.qualified} "{name}" not found'
    return Refused(404, "NotFound", message, details=details_of(resource, name))


def unknown_resource() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: Resource, name: str) -> Refused:
    message = f'{resource.qualified} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, details=details_of(resource, name))


def conflict(resource: Resource, name: str, why: str = STALE) -> Refused:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, details=details_of(resource, name))


def invalid(group: str, kind: str, name: str, causes: Sequence[Json]) -> Refused:
    """422: each cause names a field and what is wrong with it."""
    told = [f"{each['field']}: {each['message']}" for each in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    qualified = f"{kind}.{group}" if group else kind
    grouped = {"group": group} if group else {}
    details = {"name": name, **grouped, "kind": kind, "causes": list(causes)}
    return Refused(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details=details)


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, why: str) -> Refused:
    named = f' "{name}"' if name else ""
    message = f"{resource.qualified}{named} is forbidden: {why}"
    return Refused(403, "Forbidden", message, details=details_of(resource, name))


def method_not_allowed() -> Refused:
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, details={})


def unsupported_media_type(accepted: Sequence[str]) -> Refused:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return Refused(415, "UnsupportedMediaType", message)


def not_acceptable() -> Refused:
    message = "only the following media types are accepted: application/json"
    return Refused(406, "NotAcceptable", message)


def too_old(asked: int, oldest: int) -> Refused:
    return Refused(410, "Expired", f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, current: int) -> Refused:
    """504 for a version of the future, which an API server gives up waiting for after three seconds."""
    causes = [cause("ResourceVersionTooLarge", "Too large resource version")]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return Refused(504, "Timeout", message, details={"causes": causes}, retry_after=1)
