"""TLS as a kubeconfig asks for it, against a server with a certificate of its own making."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backends.kubernetes.connection import Api
from backends.kubernetes.kubeconfig import Access, Pem, User
from fleet.errors import OutcomeUnknown, Unreachable
from tests.clocks import ManualClock
from tests.unit.kubernetes.wire import body, says, serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@dataclass(frozen=True)
class Certificates:
    """A certificate for `api.inside` that signs itself, with its key."""

    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    files = Certificates(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=api.inside", "-addext", "subjectAltName=DNS:api.inside"),
            *("-keyout", str(files.key), "-out", str(files.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return files


@asynccontextmanager
async def secure(
    made: Certificates, access: Access, *, wants_certificate: bool = False
) -> AsyncIterator[Api]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(made.certificate)
    async with serving(says(body(200, "{}")), tls=context) as wire:
        api = Api(replace(access, server=wire.url), source="east", clock=ManualClock(), environ={})
        try:
            yield api
        finally:
            await api.close()
            # The transports under TLS close a turn after their session.
            await asyncio.sleep(0)


def access(made: Certificates, **what: object) -> Access:
    return replace(Access("east", ""), **what)  # type: ignore[arg-type]


async def test_the_ca_and_the_server_name_of_the_kubeconfig_are_used(made: Certificates) -> None:
    asked = access(made, ca=Pem(file=made.certificate), tls_server_name="api.inside")
    async with secure(made, asked) as api:
        assert await api.get("/api") == b"{}"


async def test_a_certificate_that_is_not_trusted_is_said(made: Certificates) -> None:
    async with secure(made, access(made, tls_server_name="api.inside")) as api:
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await api.get("/api")


async def test_a_certificate_for_another_name_is_said(made: Certificates) -> None:
    async with secure(made, access(made, ca=Pem(file=made.certificate))) as api:
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await api.send("PATCH", "/api", b"{}")


async def test_verification_can_be_left_out(made: Certificates) -> None:
    async with secure(made, access(made, insecure=True)) as api:
        assert await api.get("/api") == b"{}"


async def test_a_client_certificate_is_shown_from_file_or_text(made: Certificates) -> None:
    by_file = User(certificate=Pem(file=made.certificate), key=Pem(file=made.key))
    by_text = User(certificate=Pem(text=made.certificate.read_bytes()), key=Pem(text=made.key.read_bytes()))
    for user in (by_file, by_text):
        async with secure(made, access(made, insecure=True, user=user), wants_certificate=True) as api:
            assert await api.get("/api") == b"{}"


async def test_a_missing_client_certificate_is_unreachable_with_the_reason(made: Certificates) -> None:
    async with secure(made, access(made, insecure=True), wants_certificate=True) as api:
        with pytest.raises((Unreachable, OutcomeUnknown), match=r"(?i)tls|closed|certificate"):
            await api.get("/api")


async def test_a_ca_that_is_no_certificate_is_said(made: Certificates) -> None:
    async with secure(made, access(made, ca=Pem(text=b"not PEM"))) as api:
        with pytest.raises(Unreachable, match="certificates of the kubeconfig"):
            await api.get("/api")
