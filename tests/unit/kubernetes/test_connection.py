"""Requests over real sockets, and what each way of failing is called."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from backends.kubernetes.connection import Api
from backends.kubernetes.errors import BudgetHolds, Expired, NotKnown, Silent
from backends.kubernetes.kubeconfig import Access, User, find
from backends.kubernetes.kubeconfig_files import ExecSpec
from fleet.errors import (
    Conflict,
    Denied,
    FleetError,
    Garbled,
    Missing,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unreachable,
)
from tests.clocks import ManualClock
from tests.unit.kubernetes.wire import CHUNKED, Asked, body, chunk, says, serving

SHORT = timedelta(milliseconds=150)


@contextlib.asynccontextmanager
async def reached(
    server: str, user: User | None = None, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Api]:
    access = Access(context="test", server=server, user=user or User(token="sekrit-token"))
    api = Api(access, source="east", clock=ManualClock(), environ=environ or {})
    try:
        yield api
    finally:
        await api.close()


def status(code: int, reason: str, message: str, **details: object) -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }
    ).encode()


async def test_a_get_sends_the_token_and_gives_the_body() -> None:
    async with serving(says(body(200, '{"items":[]}'))) as wire, reached(wire.url + "/prefix") as api:
        answer = await api.get("/api/v1/nodes", [("limit", "500"), ("continue", "a b=/&+é")])
    assert answer == b'{"items":[]}'
    asked = wire.asked[0]
    assert asked.path.startswith("/prefix/api/v1/nodes?limit=500&continue=a%20b%3D/%26%2B%C3%A9")
    assert asked.headers["authorization"] == "Bearer sekrit-token"


@pytest.mark.parametrize(("compressed", "accepts"), [(True, "gzip"), (False, "identity")])
async def test_a_kubeconfig_may_do_without_compression(compressed: bool, accepts: str) -> None:
    async with serving(says(body(200, "{}"))) as wire:
        access = Access(context="test", server=wire.url, compressed=compressed)
        api = Api(access, source="east", clock=ManualClock(), environ={})
        await api.get("/api/v1/nodes")
        await api.close()
    assert accepts in wire.asked[0].headers["accept-encoding"]


async def test_whoever_is_to_be_impersonated_is_told_to_the_server() -> None:
    user = User(
        token="sekrit-token", impersonating=(("Impersonate-User", "viewer"), ("Impersonate-Group", "a"))
    )
    async with serving(says(body(200, "{}"))) as wire, reached(wire.url, user) as api:
        await api.get("/api/v1/nodes")
        await api.send("POST", "/api/v1/nodes", b"{}")
    for asked in wire.asked:
        assert asked.headers["impersonate-user"] == "viewer"
        assert asked.headers["impersonate-group"] == "a"
        assert asked.headers["authorization"] == "Bearer sekrit-token"


async def test_a_change_sends_its_body_and_content_type() -> None:
    async with serving(says(body(200, "{}"))) as wire, reached(wire.url) as api:
        await api.send(
            "PATCH", "/api/v1/nodes/a", b'{"spec":{}}', content_type="application/merge-patch+json"
        )
        await api.send("DELETE", "/api/v1/nodes/a")
    assert json.loads(wire.asked[0].body) == {"spec": {}}
    assert wire.asked[0].headers["content-type"] == "application/merge-patch+json"
    assert wire.asked[1].method == "DELETE"


@pytest.mark.parametrize(
    ("code", "content", "kind", "words"),
    [
        (
            403,
            status(403, "Forbidden", 'User "x" cannot list resource "pods"', kind="pods"),
            Denied,
            "cannot list",
        ),
        (401, status(401, "Unauthorized", "Unauthorized"), NotKnown, "credentials"),
        (404, status(404, "NotFound", 'nodes "a" not found'), Missing, "not found"),
        (409, status(409, "Conflict", "the object has been modified"), Conflict, "modified"),
        (410, status(410, "Expired", "too old resource version"), Expired, "too old"),
        (422, status(422, "Invalid", "spec: bad"), Rejected, "bad"),
        (400, b"what?", Rejected, "what"),
        (429, b"Too many requests, please try again later.\n", Throttled, "Too many"),
        (503, b"upstream \x1b[31mdown", Unreachable, "down"),
        (502, b"<html><body>Bad gateway</body></html>", Unreachable, "web page"),
        (504, status(504, "Timeout", "Too large resource version"), Unreachable, "Too large"),
        (403, b"", Denied, "without a word"),
        (403, b'{"kind":"Status","message":"Bearer abcdefghijklmnop refused"}', Denied, "Bearer …"),
    ],
)
async def test_each_refusal_has_its_name(
    code: int, content: bytes, kind: type[FleetError], words: str
) -> None:
    async with serving(says(body(code, content))) as wire, reached(wire.url) as api:
        with pytest.raises(kind, match=words) as caught:
            await api.get("/api/v1/nodes")
    assert "/api/v1/nodes" in str(caught.value)
    assert "sekrit" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


async def test_a_throttle_says_how_long_to_wait() -> None:
    answer = body(429, "Too many requests", content_type="text/plain", extra="Retry-After: 7\r\n")
    async with serving(says(answer)) as wire, reached(wire.url) as api:
        with pytest.raises(Throttled) as caught:
            await api.get("/api/v1/pods")
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_an_eviction_held_by_a_budget_names_it() -> None:
    cause = {
        "reason": "DisruptionBudget",
        "message": "The disruption budget web-pdb needs 3 healthy pods and has 3 currently",
    }
    content = status(429, "TooManyRequests", "Cannot evict pod", causes=[cause])
    async with serving(says(body(429, content))) as wire, reached(wire.url) as api:
        with pytest.raises(BudgetHolds) as caught:
            await api.send("POST", "/api/v1/namespaces/a/pods/b/eviction", b"{}")
    assert caught.value.causes == (cause["message"],)
    assert caught.value.retry_after is None


async def test_two_budgets_over_one_pod_are_a_budget_that_holds() -> None:
    content = status(
        500, "InternalError", "This pod has more than one PodDisruptionBudget, which is unsupported"
    )
    async with serving(says(body(500, content))) as wire, reached(wire.url) as api:
        with pytest.raises(BudgetHolds):
            await api.send("POST", "/eviction", b"{}")


async def test_a_failed_answer_to_a_change_leaves_its_outcome_unknown() -> None:
    async with (
        serving(says(body(504, status(504, "Timeout", "request timed out")))) as wire,
        reached(wire.url) as api,
    ):
        with pytest.raises(OutcomeUnknown):
            await api.send("PATCH", "/api/v1/nodes/a", b"{}")


async def test_a_login_page_is_not_an_answer() -> None:
    page = body(200, "<html>sign in</html>", content_type="text/html; charset=utf-8")
    async with serving(says(page)) as wire, reached(wire.url) as api:
        with pytest.raises(Garbled, match="web page"):
            await api.get("/api/v1/nodes")


async def test_a_server_that_is_not_there_is_unreachable_for_reads_and_changes() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with reached(url) as api:
            with pytest.raises(Unreachable, match="refused"):
                await api.get("/api")
            with pytest.raises(Unreachable, match="refused"):
                await api.send("PATCH", "/api", b"{}")


async def test_a_host_that_has_no_address_is_named() -> None:
    async with reached("http://no-such-host.invalid:6443") as api:
        with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
            await api.get("/api")


async def _hang_up(_: Asked, out: asyncio.StreamWriter) -> None:
    out.close()


async def _say_nothing(_: Asked, out: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("method", ["PATCH", "POST", "DELETE"])
async def test_a_change_cut_off_after_it_was_sent_is_of_unknown_outcome_and_sent_once(method: str) -> None:
    async with serving(_hang_up) as wire, reached(wire.url) as api:
        with pytest.raises(OutcomeUnknown, match="answer lost"):
            await api.send(method, "/api/v1/nodes/a", b"{}")
    assert len(wire.asked) == 1


async def test_a_change_on_a_connection_that_was_open_is_not_sent_twice() -> None:
    async def answer(asked: Asked, out: asyncio.StreamWriter) -> None:
        if asked.method == "DELETE":
            out.close()
        else:
            out.write(body(200, "{}"))

    async with serving(answer) as wire, reached(wire.url) as api:
        await api.get("/api")
        with pytest.raises(OutcomeUnknown):
            await api.send("DELETE", "/api/v1/nodes/a")
    assert [asked.method for asked in wire.asked] == ["GET", "DELETE"]


async def test_a_silent_server_meets_the_deadline() -> None:
    async with serving(_say_nothing) as wire, reached(wire.url) as api:
        with pytest.raises(Unreachable, match="in time"):
            await api.get("/api", deadline=SHORT)
        with pytest.raises(OutcomeUnknown):
            await api.send("PATCH", "/api", b"{}", deadline=SHORT)


async def test_a_body_that_breaks_off_is_unreachable() -> None:
    async def answer(_: Asked, out: asyncio.StreamWriter) -> None:
        out.write(body(200, "x" * 100)[:-50])
        await out.drain()
        out.close()

    async with serving(answer) as wire, reached(wire.url) as api:
        with pytest.raises(Unreachable, match="broke off"):
            await api.get("/api")


async def test_a_watch_gives_whole_lines_however_long() -> None:
    long = b'{"a":"' + b"x" * (5 << 20) + b'"}'
    stream = (
        CHUNKED
        + chunk(b'{"n":1}\n{"n"')
        + chunk(b":2}\n\n")
        + chunk(long + b"\n")
        + chunk(b'{"n":3}')
        + chunk(b"")
    )
    async with serving(says(stream)) as wire, reached(wire.url) as api:
        lines = [line async for line in api.watch("/api/v1/nodes", [("watch", "1")])]
    assert lines == [b'{"n":1}', b'{"n":2}', long, b'{"n":3}']


async def test_a_watch_that_says_nothing_is_silent() -> None:
    async with serving(says(CHUNKED + chunk(b'{"n":1}\n'))) as wire, reached(wire.url) as api:
        lines = api.watch("/api/v1/nodes", silence=SHORT)
        assert await anext(lines) == b'{"n":1}'
        with pytest.raises(Silent):
            await anext(lines)


async def test_a_watch_that_breaks_off_is_unreachable() -> None:
    async def answer(_: Asked, out: asyncio.StreamWriter) -> None:
        out.write(CHUNKED + chunk(b'{"n":1}\n'))
        await out.drain()
        out.close()

    async with serving(answer) as wire, reached(wire.url) as api:
        with pytest.raises(Unreachable):
            assert [line async for line in api.watch("/api/v1/nodes")]


async def test_a_watch_can_be_left_in_the_middle() -> None:
    async with (
        serving(says(CHUNKED + chunk(b'{"n":1}\n'))) as wire,
        reached(wire.url) as api,
        contextlib.aclosing(api.watch("/api/v1/nodes")) as lines,
    ):
        assert await anext(lines) == b'{"n":1}'


async def test_a_proxy_of_the_environment_is_not_asked_about_loopback() -> None:
    environ = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    async with serving(says(body(200, "{}"))) as wire, reached(wire.url, environ=environ) as api:
        assert await api.get("/api") == b"{}"


def plugin(tmp_path: Path, script: str) -> User:
    file = tmp_path / "plugin.py"
    file.write_text(script)
    return User(plugin=ExecSpec(command=sys.executable, args=(str(file),)), folder=tmp_path)


COUNTING = """
import json, os, pathlib, sys
assert sys.stdin.read() == ""
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]["interactive"] is False
file = pathlib.Path(__file__).with_suffix(".count")
count = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(count))
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": f"token-{count}"}}))
"""


async def test_a_plugin_runs_once_for_many_requests_and_once_more_after_a_401(tmp_path: Path) -> None:
    async def answer(asked: Asked, out: asyncio.StreamWriter) -> None:
        known = asked.headers["authorization"] == "Bearer token-2"
        out.write(body(200, "{}") if known else body(401, status(401, "Unauthorized", "Unauthorized")))

    async with serving(answer) as wire, reached(wire.url, plugin(tmp_path, COUNTING)) as api:
        assert await asyncio.gather(*(api.get("/api") for _ in range(5))) == [b"{}"] * 5
    assert (tmp_path / "plugin.count").read_text() == "2"


async def test_a_401_that_a_new_token_does_not_mend_is_denied(tmp_path: Path) -> None:
    refusal = body(401, status(401, "Unauthorized", "Unauthorized"))
    async with serving(says(refusal)) as wire, reached(wire.url, plugin(tmp_path, COUNTING)) as api:
        with pytest.raises(NotKnown):
            await api.get("/api")
    assert len(wire.asked) == 2


async def test_a_plugin_that_fails_is_a_denial_with_its_last_word(tmp_path: Path) -> None:
    script = "import sys; print('noise', file=sys.stderr); print('session \\x1b[1mexpired', file=sys.stderr); sys.exit(3)"
    async with reached("http://127.0.0.1:9", plugin(tmp_path, script)) as api:
        with pytest.raises(Denied, match=r"failed \(3\): session expired"):
            await api.get("/api")


async def test_a_plugin_that_is_not_installed_says_how_to_get_it() -> None:
    spec = ExecSpec(command="no-such-plugin-here", install_hint="install it with the site's tools")
    async with reached("http://127.0.0.1:9", User(plugin=spec)) as api:
        with pytest.raises(Denied, match=r"no-such-plugin-here can't be started: .*site's tools"):
            await api.get("/api")


def written(file: Path, server: str, token: str) -> None:
    file.write_text(
        f"""
current-context: east
contexts: [{{name: east, context: {{cluster: east, user: oncall}}}}]
clusters: [{{name: east, cluster: {{server: "{server}"}}}}]
users: [{{name: oncall, user: {{token: {token}}}}}]
"""
    )


async def test_a_token_rotated_in_the_kubeconfig_is_read_after_a_401(tmp_path: Path) -> None:
    file = tmp_path / "config"

    async def answer(asked: Asked, out: asyncio.StreamWriter) -> None:
        known = asked.headers["authorization"] == "Bearer new-token"
        out.write(body(200, "{}") if known else body(401, status(401, "Unauthorized", "Unauthorized")))

    async with serving(answer) as wire:
        written(file, wire.url, "old-token")
        access = find(kubeconfig=str(file), environ={}, home=tmp_path)
        api = Api(access, source="east", clock=ManualClock(), environ={})
        try:
            with pytest.raises(NotKnown):
                await api.get("/api/v1/nodes")
            file.write_text("contexts: [{")
            with pytest.raises(NotKnown):
                await api.get("/api/v1/nodes")
            written(file, "http://another:1", "new-token")
            with pytest.raises(NotKnown):
                await api.get("/api/v1/nodes")
            written(file, wire.url, "new-token")
            assert await api.get("/api/v1/nodes") == b"{}"
        finally:
            await api.close()


async def test_a_renewed_token_file_is_read_after_a_401(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")

    async def answer(asked: Asked, out: asyncio.StreamWriter) -> None:
        if asked.headers["authorization"] == "Bearer new":
            out.write(body(200, "{}"))
            return
        file.write_text("new\n")
        out.write(body(401, status(401, "Unauthorized", "Unauthorized")))

    async with serving(answer) as wire, reached(wire.url, User(token_file=file)) as api:
        assert await api.get("/api") == b"{}"


async def test_a_user_and_password_are_sent_as_basic() -> None:
    user = User(username="oncall", password="pw")
    async with serving(says(body(200, "{}"))) as wire, reached(wire.url, user) as api:
        await api.get("/api")
    assert wire.asked[0].headers["authorization"] == "Basic b25jYWxsOnB3"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "socks5h://user:secret@bastion:1080"])
async def test_a_socks_proxy_of_the_environment_is_refused_in_words(proxy: str) -> None:
    """aiohttp itself knows no SOCKS, and ends with a ValueError; kubectl goes through one."""
    environ = {"HTTP_PROXY": proxy}
    async with reached("http://api.example:6443", environ=environ) as api:
        with pytest.raises(
            Unreachable, match="SOCKS is not supported; use ssh -L or an http:// proxy"
        ) as told:
            await api.get("/version")
    assert "secret" not in str(told.value)
