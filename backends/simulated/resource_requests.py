"""Requests for the cluster's objects: each verb to the part that answers it, each answer in the form asked for."""

from __future__ import annotations

from random import Random

from aiohttp import web

from backends.simulated.answers import json_answer, send
from backends.simulated.api_routes import Target
from backends.simulated.bodies import decoded, is_dry, json_value
from backends.simulated.deletions import Deleter
from backends.simulated.event_view import kept_as, view
from backends.simulated.evictions import Evictor
from backends.simulated.list_options import list_options
from backends.simulated.listing import Lister
from backends.simulated.objects import Json, ObjectStore, Stored
from backends.simulated.patches import JSON_PATCH, MERGE, STRATEGIC
from backends.simulated.renderings import Rendering, pages, rendering
from backends.simulated.resources import PODS
from backends.simulated.statuses import bad_request, not_found, success, unsupported_media_type
from backends.simulated.watching import Watch, Watches
from backends.simulated.writing import Writer
from fleet.ports import Clock


class ResourceRequests:
    """Answers every request that names a resource; refusals are raised as `statuses.Refused`."""

    def __init__(self, store: ObjectStore, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self.watches = Watches(store, clock, random)
        self.lister = Lister(store, clock)
        self._writer = Writer(store, clock, random)
        self._deleter = Deleter(store, clock)
        self._evictor = Evictor(store, clock, self._deleter)

    async def answer(self, request: web.Request, at: Target, verb: str) -> web.StreamResponse:
        """The answer to one permitted request."""
        if at.subresource == "log":
            return self._log(request, at)
        include = request.query.get("includeObject", "")
        form = rendering(at.resource, request.headers.get("Accept", ""), include, self._clock)
        match verb:
            case "get":
                return await self._object(request, form, self._get(at))
            case "list":
                page = await self.lister.page(list_options(at.resource, at.scope, request.query))
                return await send(request, 200, pages(form, page.rows, page.metadata))
            case "watch":
                return await self._watch(request, at, form)
            case "delete" | "deletecollection":
                return await self._delete(request, at, form)
            case _:
                return await self._write(request, at, form, verb)

    def _log(self, request: web.Request, at: Target) -> web.Response:
        """What a pod printed, at most `limitBytes` of it."""
        pod = self._store.get(PODS, at.name, at.namespace)
        if pod is None:
            raise not_found(PODS, at.name)
        text = self._store.logs.get(pod["metadata"]["uid"])
        if text is None and (pod.get("status") or {}).get("phase") == "Pending":
            raise bad_request(f'container in pod "{at.name}" is waiting to start: ContainerCreating')
        limit = request.query.get("limitBytes", "")
        body = (text or "").encode()
        return web.Response(body=body[: int(limit)] if limit.isdecimal() else body, content_type="text/plain")

    def _get(self, at: Target) -> Stored:
        stored = self._store.stored(kept_as(at.resource), at.name, at.namespace)
        if stored is None:
            raise not_found(at.resource, at.name)
        return view(at.resource, stored)

    async def _object(
        self, request: web.Request, form: Rendering, stored: Stored, status: int = 200
    ) -> web.StreamResponse:
        return await send(request, status, [form.whole(stored), b"\n"])

    async def _watch(self, request: web.Request, at: Target, form: Rendering) -> web.StreamResponse:
        options = list_options(at.resource, at.scope, request.query)
        if options.initial_events:
            await self.lister.wait_for(options.version)
        return await Watch(options, form, self.watches).serve(request)

    async def _write(
        self, request: web.Request, at: Target, form: Rendering, verb: str
    ) -> web.StreamResponse:
        body, media = await request.read(), _media(request)
        if verb == "patch":
            if media not in (MERGE, STRATEGIC, JSON_PATCH):
                raise unsupported_media_type([JSON_PATCH, MERGE, STRATEGIC])
            patched = self._writer.patch(at, media, json_value(body), dry=is_dry(request.query))
            return await self._object(request, form, patched)
        value = decoded(body, media)
        if at.subresource == "eviction":
            return json_answer(201, self._evictor.evict(at, value, dict(request.query)))
        if verb == "update":
            replaced, made = self._writer.replace(at, value, dry=is_dry(request.query))
            return await self._object(request, form, replaced, 201 if made else 200)
        return await self._object(
            request, form, self._writer.create(at, value, dry=is_dry(request.query)), 201
        )

    async def _delete(self, request: web.Request, at: Target, form: Rendering) -> web.StreamResponse:
        body = await request.read()
        options: Json = decoded(body, _media(request)) if body else {}
        query = dict(request.query)
        if not at.name:
            selected = list_options(at.resource, at.scope, request.query)
            rows = self._deleter.delete_all(selected, query, options)
            return await send(request, 200, pages(form, rows, {"resourceVersion": str(self._store.version)}))
        deleted = self._deleter.delete(at, options, query)
        if at.resource is PODS or deleted.object["metadata"].get("deletionTimestamp"):
            return await self._object(request, form, deleted)
        details = {"name": at.name, "kind": at.resource.plural, "uid": deleted.object["metadata"]["uid"]}
        return json_answer(200, success(200, details))


def _media(request: web.Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
