"""The simulated cluster's API server: the subset of Kubernetes that Quarterdeck and kubectl use, on loopback.

Everything that a client may meet on a bad day can be asked for: see the methods after `come_back`. They change
what is answered, never what is stored.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

from aiohttp import web

from backends.simulated import protobuf_reviews
from backends.simulated.answers import json_answer, page_not_found, refusal
from backends.simulated.api_routes import Place, as_kept, place, target, verb
from backends.simulated.bodies import decoded, typed
from backends.simulated.discovery import document, serves
from backends.simulated.objects import Json, ObjectStore
from backends.simulated.permissions import USER, Permissions
from backends.simulated.resource_requests import ResourceRequests
from backends.simulated.statuses import Refused, forbidden, method_not_allowed, unauthorized, unknown_resource
from fleet.ports import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HOST = "127.0.0.1"
_LARGEST_BODY = 3 * 1024 * 1024
_HEALTH = ("/healthz", "/livez", "/readyz")
_LAST_WATCHES = timedelta(minutes=1)


class KubernetesApi:
    """An API server over an `ObjectStore`, listening on 127.0.0.1 only.

    `token` is the bearer token that requests may carry; another one is answered 401. A request without any is let
    in unless `anonymous` is False, because kubectl sends no token over plain HTTP. `random` draws the life of
    watches and the suffixes of generated names.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        *,
        permissions: Permissions | None = None,
        random: Random | None = None,
        token: str | None = None,
        anonymous: bool = True,
    ) -> None:
        self.store = store
        self.permissions = permissions or Permissions()
        self.token = token
        self.anonymous = anonymous
        self.requests: deque[tuple[str, str]] = deque(maxlen=10_000)
        """Method and path with query of the latest requests, oldest first."""
        self.serves_claims = ""
        """The version in which resource claims and slices are served, as a cluster that gives devices out by them does."""
        self._clock = clock
        self._resources = ResourceRequests(store, clock, random or Random(0))  # noqa: S311  no secret is drawn
        self._routes: list[tuple[str, str, Handler]] = []
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._last_minute: asyncio.Future[None] | None = None
        self._port = 0
        self._throttled = 0
        self._retry_after = 1
        self._delay = timedelta(0)
        self._tokens_rejected = False

    @property
    def url(self) -> str:
        """Where it listens, once it has been started: `http://127.0.0.1:40123`."""
        return f"http://{_HOST}:{self._port}"

    @property
    def open_watches(self) -> int:
        """How many watches are open now."""
        return self._resources.watches.count

    async def until_watched(self, count: int) -> None:
        """Return once exactly `count` watches are open."""
        await self._resources.watches.until_open(count)

    def register_route(self, method: str, path: str, handler: Handler) -> None:
        """Serve one more path, behind the same token; to be called before `start`."""
        self._routes.append((method, path, handler))

    def application(self) -> web.Application:
        """The server as an aiohttp application, for a test client or a runner of one's own."""
        app = web.Application(middlewares=[self._admit], client_max_size=_LARGEST_BODY)
        for method, path, handler in self._routes:
            app.router.add_route(method, path, handler)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def kubeconfig(self, context: str = "simulated") -> str:
        """A kubeconfig, as JSON, whose only context is this server with its token. Loopback has nothing to gain from gzip."""
        user = {"token": self.token} if self.token else {}
        cluster = {"server": self.url, "disable-compression": True}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": context,
                "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
                "clusters": [{"name": context, "cluster": cluster}],
                "users": [{"name": context, "user": user}],
            },
            indent=2,
        )

    async def start(self, port: int = 0) -> str:
        """Listen on `port`, or on a free one, and give the URL. Raises OSError where the port is taken."""
        self._runner = web.AppRunner(
            self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1
        )
        await self._runner.setup()
        self._port = port
        await self._listen()
        return self.url

    async def stop(self) -> None:
        """End every watch and close."""
        if self._last_minute is not None:
            self._last_minute.cancel()
        self._resources.watches.end_all()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._site = None

    async def go_down(self, *, abrupt: bool = True) -> None:
        """Stop listening. Killed, every connection breaks; terminated, open watches live for a minute more."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if abrupt:
            self._break_connections()
        else:
            self._last_minute = asyncio.ensure_future(self._end_last_watches())

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        if self._site is None:
            await self._listen()

    def cut_watches(self, *, abrupt: bool = False) -> None:
        """End every open watch: cleanly, as a server does at a watch's timeout, or in the middle of its stream."""
        if abrupt:
            self._resources.watches.cut_all()
        else:
            self._resources.watches.end_all()

    def go_silent(self) -> None:
        """Keep watches open and say nothing on them, bookmarks included; lists are answered as ever."""
        self._resources.watches.fall_silent(True)

    def speak_again(self) -> None:
        """End the silence; what happened meanwhile is told now."""
        self._resources.watches.fall_silent(False)

    def forget_history(self) -> None:
        """Compact: watches from any version given out so far and lists being paged are answered 410."""
        self.store.forget_history()
        self._resources.lister.expire_tokens()

    def throttle(self, requests: int, retry_after: int = 1) -> None:
        """Answer the next `requests` with a plain-text 429, as priority and fairness does: no Status."""
        self._throttled, self._retry_after = requests, retry_after

    def delay(self, seconds: float) -> None:
        """Let every answer take that long, on the clock; 0 ends it."""
        self._delay = timedelta(seconds=seconds)

    def deny(self, verb: str, resource: str) -> None:
        """Answer 403 to a verb on a resource (`nodes`, `pods/eviction`, `*`) and say so in access reviews."""
        self.permissions.deny(verb, resource)

    def allow(self, verb: str, resource: str) -> None:
        """Take back a `deny` of the same words."""
        self.permissions.allow(verb, resource)

    def reject_tokens(self) -> None:
        """Answer 401 to everybody, as when every token has expired."""
        self._tokens_rejected = True

    def accept_tokens(self) -> None:
        """End `reject_tokens`."""
        self._tokens_rejected = False

    async def _end_last_watches(self) -> None:
        watches = self._resources.watches.open_now()
        await self._clock.sleep(_LAST_WATCHES)
        for watch in watches:
            watch.end()

    async def _listen(self) -> None:
        if self._runner is None:
            raise RuntimeError("start() comes first")
        self._site = web.TCPSite(self._runner, _HOST, self._port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    def _break_connections(self) -> None:
        server = self._runner.server if self._runner else None
        for connection in server.connections if server else []:
            if connection.transport is not None:
                connection.transport.abort()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self._delay:
            await self._clock.sleep(self._delay)
        if self._throttled > 0:
            self._throttled -= 1
            wait = {"Retry-After": str(self._retry_after)}
            return web.Response(status=429, text="Too many requests, please try again later.\n", headers=wait)
        try:
            self._authenticate(request)
            return await handler(request)
        except Refused as refused:
            return refusal(refused)

    def _authenticate(self, request: web.Request) -> None:
        sent = request.headers.get("Authorization", "")
        if self._tokens_rejected or (sent and self.token and sent != f"Bearer {self.token}"):
            raise unauthorized()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in _HEALTH:
            return web.Response(text="ok")
        if (found := self._document(request.path)) is not None:
            return json_answer(200, found)
        at = place(request.path)
        if at is None or not serves(at.group, at.version, claims=self.serves_claims):
            return page_not_found()
        if at.group.startswith("auth") and len(at.rest) == 1:
            return await self._review(request, at.rest[0])
        return await self._resource(request, as_kept(at))

    def _document(self, path: str) -> Json | None:
        return document(path, f"{_HOST}:{self._port}", claims=self.serves_claims)

    async def _resource(self, request: web.Request, at: Place) -> web.StreamResponse:
        asked = target(at)
        if asked is None:
            raise unknown_resource()
        watch = request.query.get("watch", "").lower() in ("1", "t", "true")
        done = verb(request.method, asked, watch=watch)
        if done is None:
            raise method_not_allowed()
        known = bool(request.headers.get("Authorization")) or self.anonymous
        if not known or not self.permissions.allows(done, asked.permission):
            user = USER if known else "system:anonymous"
            where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
            what = f'resource "{asked.permission}" in API group "{asked.resource.group}"'
            raise forbidden(asked.resource, asked.name, f'User "{user}" cannot {done} {what} {where}')
        return await self._resources.answer(request, asked, done)

    async def _review(self, request: web.Request, plural: str) -> web.StreamResponse:
        if request.method != "POST":
            raise method_not_allowed()
        body = await request.read()
        binary = request.content_type == protobuf_reviews.MEDIA_TYPE
        value = protobuf_reviews.review(body) if binary else decoded(body, request.content_type)
        authorization = "authorization.k8s.io/v1"
        reviewed: Json
        match plural:
            case "selfsubjectaccessreviews":
                reviewed = self.permissions.access_review(
                    typed(value, "SelfSubjectAccessReview", authorization)
                )
            case "selfsubjectrulesreviews":
                reviewed = self.permissions.rules_review(
                    typed(value, "SelfSubjectRulesReview", authorization)
                )
            case "selfsubjectreviews":
                reviewed = {**typed(value, "SelfSubjectReview", "authentication.k8s.io/v1")}
                reviewed["status"] = {"userInfo": {"username": USER, "groups": ["system:authenticated"]}}
            case _:
                raise unknown_resource()
        return json_answer(201, reviewed)
