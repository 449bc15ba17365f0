"""Where webhooks may go: public addresses, named networks, and nothing that only looks like them."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foundation.settings import Settings
from foundation.webhooks.addresses import (
    Address,
    Reach,
    WebhookRefused,
    reach_of,
    require_address,
    require_reachable,
    resolve,
)

PUBLIC = Reach()
CITY = Reach((ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd12::/16")))
HERE = Reach(loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "https://",
        "https://u:p@example.org/",
        "https://:p@example.org/",
        "https://example.org/#x",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://例子/",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "not an address",
    ],
)
def test_an_address_of_which_the_form_does_not_fit(url: str) -> None:
    with pytest.raises(WebhookRefused):
        require_address(url, PUBLIC)


def test_addresses_of_which_the_form_fits() -> None:
    assert require_address("https://example.org/notices?of=1", PUBLIC)
    for url in ("http://127.0.0.1:8080/", "http://[::1]:8080/", "http://localhost:8080/"):
        assert require_address(url, HERE) == url
        with pytest.raises(WebhookRefused):
            require_address(url, CITY)


FORBIDDEN = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254", "172.16.0.1",
    "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2001:db8::1", "2001::1", "2002:7f00:1::1",
    "2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORBIDDEN)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not PUBLIC.allows(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "223.5.5.5", "2400:3200::1", "::ffff:1.1.1.1"])
def test_addresses_that_are_public(text: str) -> None:
    assert PUBLIC.allows(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_written_as_ipv6_is_no_other(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.ip_address(f"::ffff:{address}")
    assert PUBLIC.allows(mapped) == PUBLIC.allows(address)
    assert CITY.allows(mapped) == CITY.allows(address)


def test_named_networks_and_nothing_beside() -> None:
    for text in ("10.20.3.4", "fd12::1", "::ffff:10.20.3.4", "1.1.1.1"):
        assert CITY.allows(ipaddress.ip_address(text))
    for text in ("10.21.0.1", "fd13::1", "127.0.0.1"):
        assert not CITY.allows(ipaddress.ip_address(text))
    assert HERE.allows(ipaddress.ip_address("127.9.9.9"))
    assert not HERE.allows(ipaddress.ip_address("10.20.3.4"))


def test_ports() -> None:
    inside, outside = ipaddress.ip_address("10.20.3.4"), ipaddress.ip_address("1.1.1.1")
    assert [port for port in (22, 25, 80, 443, 5432, 8443) if CITY.allows_port(outside, port)] == [443, 8443]
    assert [port for port in (22, 25, 80, 443, 5432, 8443) if CITY.allows_port(inside, port)] == [
        443,
        5432,
        8443,
    ]


def leading(*texts: str) -> object:
    async def answer(host: str, port: int) -> Sequence[Address]:
        if not texts:
            raise OSError("nothing known")
        return [ipaddress.ip_address(text) for text in texts]

    return answer


@pytest.mark.parametrize(
    ("texts", "port"),
    [((), 443), (("10.0.0.1",), 443), (("1.1.1.1", "10.0.0.1"), 443), (("1.1.1.1",), 6379)],
)
def test_a_name_that_leads_where_webhooks_do_not_go(texts: tuple[str, ...], port: int) -> None:
    url = f"https://department.example:{port}/"
    with pytest.raises(WebhookRefused):
        asyncio.run(require_reachable(url, PUBLIC, leading(*texts)))  # type: ignore[arg-type]


def test_a_name_that_leads_where_they_go() -> None:
    url = "https://department.example/"
    assert asyncio.run(require_reachable(url, PUBLIC, leading("1.1.1.1"))) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "2130706433", "017700000001", "[::ffff:7f00:1]", "localhost"]
)
def test_other_ways_to_write_this_machine(host: str) -> None:
    with pytest.raises(WebhookRefused):
        asyncio.run(require_reachable(f"https://{host}/", PUBLIC))


def test_the_system_resolves() -> None:
    assert ipaddress.ip_address("127.0.0.1") in asyncio.run(resolve("127.0.0.1", 443))


def test_the_setting_names_networks(tmp_path: object) -> None:
    told = reach_of(Settings(webhook_networks=("10.20.0.0/16",)))
    assert told.allows(ipaddress.ip_address("10.20.1.1"))
    assert not told.loopback
    with pytest.raises(ValidationError, match="host bits"):
        Settings(webhook_networks=("10.20.0.1/16",))
