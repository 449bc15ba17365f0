"""Sending a webhook: signed, to where the name leads now, without following anybody elsewhere, and not for ever."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from foundation.signing import Algorithm, Signer, new_signer
from foundation.webhooks.addresses import Address, Reach, require_reachable
from foundation.webhooks.sending import WAITS, Sender, next_attempt, trusting
from tests.conftest import free_port
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier

NOW = datetime.now(UTC)
HERE = Reach(loopback=True)
SIGNER: Signer = new_signer(Algorithm.ES256)


def send(url: str, reach: Reach = HERE, **options: object) -> str | None:
    async def work() -> str | None:
        sender = Sender(reach, **options)  # type: ignore[arg-type]
        try:
            return await sender.send(
                url, b'{"events":[]}', {"Zhengtong-Notice": "x"}, SIGNER, datetime.now(UTC)
            )
        finally:
            await sender.close()

    return asyncio.run(work())


def test_it_arrives_signed() -> None:
    with receiving() as receiver:
        assert send(receiver.url) is None
    (got,) = receiver.got
    assert got.headers["zhengtong-notice"] == "x"
    check = verifier({"keys": [{**SIGNER.public.to_jwk(), "kid": SIGNER.kid}]})
    (result,) = check.verify(got, max_age=timedelta(minutes=5), body=got.content)
    assert set(result.covered_components) - {'"@signature-params"'} == {
        '"@method"',
        '"@target-uri"',
        '"content-digest"',
        '"content-type"',
    }
    altered = httpx.Request("POST", f"{got.url}1", headers=got.headers, content=got.content)
    with pytest.raises(HTTPMessageSignaturesException):
        check.verify(altered, max_age=timedelta(minutes=5))
    with pytest.raises(HTTPMessageSignaturesException):
        check.verify(got, max_age=timedelta(minutes=5), body=got.content + b" ")


@pytest.mark.parametrize("status", [301, 307, 308, 400, 410, 500, 503])
def test_what_is_no_success_is_a_failure_and_leads_nowhere(status: int) -> None:
    with receiving() as receiver:
        receiver.answers[:] = [status]
        assert send(receiver.url) == f"HTTP {status}"
        assert len(receiver.got) == 1


def test_nobody_there() -> None:
    assert send(f"http://127.0.0.1:{free_port()}/") == "ConnectError"


def test_too_slow() -> None:
    with receiving() as receiver:
        receiver.slow = 20  # who waited for it would be told that it arrived
        assert send(receiver.url, seconds=0.2) == "TimeoutError"


def test_an_endless_answer_is_not_read() -> None:
    with receiving() as receiver:
        receiver.body = bytes(20 << 20)
        assert send(receiver.url) is None


def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    with receiving() as receiver:
        for reach in (Reach(), Reach((ipaddress.ip_network("10.0.0.0/8"),))):
            assert send(receiver.url, reach) == "AddressRefused"
        assert send(f"http://127.0.0.1:{22}/") == "AddressRefused"
        assert receiver.got == []


def test_a_name_that_leads_elsewhere_between_check_and_use_gets_nowhere() -> None:
    """DNS rebinding: public when it is registered, this machine when it is called."""
    turns = [["1.1.1.1"], ["127.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[Address]:
        assert host == "department.example"
        return [ipaddress.ip_address(text) for text in turns.pop(0)]

    with receiving() as receiver:
        port = urlsplit(receiver.url).port
        asyncio.run(require_reachable("https://department.example/", Reach(), resolve))
        assert send(f"http://department.example:{port}/", Reach(), resolve=resolve) == "AddressRefused"
        assert (receiver.got, turns) == ([], [])


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """The name is resolved once for a connection: a second answer, to another address, is never asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1")]

    with receiving() as receiver:
        port = urlsplit(receiver.url).port
        assert send(f"http://department.example:{port}/x", resolve=resolve) is None
        assert asked == ["department.example"]
        assert receiver.got[0].headers["host"] == f"department.example:{port}"


def test_one_address_of_several_that_is_private_spoils_all() -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("10.0.0.1")]

    with receiving() as receiver:
        assert (
            send(f"http://both.example:{urlsplit(receiver.url).port}/", resolve=resolve) == "AddressRefused"
        )
        assert receiver.got == []


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Make a server's own certificate, as an authority of the city would."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return path, context


def test_by_tls_the_name_must_be_that_of_the_certificate(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [ipaddress.ip_address("127.0.0.1")]

    path, context = certificate(tmp_path, "department.example")
    with receiving(context) as receiver:
        port = urlsplit(receiver.url).port
        trusted = trusting(path)
        url = f"https://department.example:{port}/x"
        assert send(url, resolve=resolve, trusted=trusted) is None
        assert str(receiver.got[0].url) == url
        assert send(f"https://another.example:{port}/x", resolve=resolve, trusted=trusted) == "ConnectError"
        assert send(url, resolve=resolve) == "ConnectError", "nobody vouches for it"
        assert len(receiver.got) == 1


def test_waits_end() -> None:
    assert [next_attempt(n, NOW) for n in range(len(WAITS))] == [NOW + wait for wait in WAITS]
    assert next_attempt(len(WAITS), NOW) is None


def test_a_receiver_is_found_again(tmp_path: Path) -> None:
    """One connection serves several, and a broken one is made anew."""

    async def story(receiver: Receiver) -> None:
        sender = Sender(HERE)
        for _turn in range(3):
            assert await sender.send(receiver.url, b"{}", {}, SIGNER, NOW) is None
        await sender.close()

    with receiving() as receiver:
        asyncio.run(story(receiver))
        assert len(receiver.got) == 3
