"""Holds that no address somebody typed leads into the clinic's own network, however it is written."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from integrations import egress
from integrations.clearinghouse.ssh import Account, Patience, connect
from integrations.email.smtp import connector
from integrations.errors import Misconfigured, Transient
from integrations.hl7.mllp import MllpClient
from integrations.http import Http

PRIVATE = (
    "fec0::1", "::ffff:0:127.0.0.1", "192.88.99.1", "192.0.0.8", "5f00::1", "3fff::1",
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
    "168.63.129.16", "0.0.0.1", "64:ff9b:1::1", "2002:a00:1::1", "2001:0:a00:1::1", "::10.0.0.1",
)  # fmt: skip
DISGUISED = (
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "0",
    "localhost",
    "::ffff:7f00:1",
)


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("CARERELAY_ENV", "production")
    monkeypatch.delenv("CARERELAY_EGRESS_ALLOW", raising=False)
    return monkeypatch


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A listener on this machine that nobody may come to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def untouched(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


def test_only_addresses_of_the_public_network_are_public() -> None:
    assert [address for address in PRIVATE if egress.is_public(address)] == []
    for address in ("8.8.8.8", "2606:4700:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"):
        assert egress.is_public(address)


@pytest.mark.parametrize("host", DISGUISED)
def test_this_machine_is_found_out_however_it_is_written(production: Any, door: socket.socket, host: str) -> None:
    with pytest.raises(egress.Forbidden):
        egress.connected((host, port_of(door)), 1.0)
    assert untouched(door)


def means(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names mean these addresses, another list at each look-up; return the list of names that were looked up."""
    asked, left = list[str](), [*answers]

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_is_looked_up_once_and_one_bad_address_among_good_ones_is_enough(
    production: pytest.MonkeyPatch, door: socket.socket
) -> None:
    means(production, ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(egress.Forbidden):
        egress.addresses("two.example", port_of(door))
    asked = means(production, ["127.0.0.2"], ["127.0.0.1"])  # the second is what a rebinding name would mean then
    production.setenv("CARERELAY_EGRESS_ALLOW", "127.0.0.2")
    with socket.create_server(("127.0.0.2", port_of(door))):
        egress.connected(("rebinds.example", port_of(door)), 1.0).close()
    assert asked == ["rebinds.example"]
    assert untouched(door)


def test_every_protocol_asks_before_it_connects_and_says_what_to_do(
    production: pytest.MonkeyPatch, door: socket.socket
) -> None:
    port = port_of(door)
    account = Account("127.0.0.1", "us", f"SHA256:{'A' * 43}", "in", "out", port=port, password="x")
    ways = {
        "mllp": lambda: MllpClient("127.0.0.1", port).send(b"MSH"),
        "sftp": lambda: connect(account, Patience()),
        "smtp": connector("127.0.0.1", port=port, security="none"),
        "x": lambda: Http(partner="x").send("GET", f"http://127.0.0.1:{port}/", headers={}),
    }
    for allowed, why in (("", "of a private network"), ("127.0.0.1,10.0.0.0/33", "part 2 is no network")):
        production.setenv("CARERELAY_EGRESS_ALLOW", allowed)
        for name, way in ways.items():
            with pytest.raises(Misconfigured, match="CARERELAY_EGRESS_ALLOW") as refused:
                way()
            assert (refused.value.code, why in str(refused.value)) == (f"{name}:egress", True)
            assert "127.0.0.1" not in str(refused.value)
    assert untouched(door)
    production.setenv("CARERELAY_EGRESS_ALLOW", f"127.0.0.1:{port}")
    door.close()
    with pytest.raises(Transient, match="unreached"):
        ways["mllp"]()


def test_a_proxy_is_sent_to_no_address_of_ours_either(production: pytest.MonkeyPatch, door: socket.socket) -> None:
    proxy = f"127.0.0.1:{port_of(door)}"
    production.setenv("http_proxy", f"http://{proxy}")
    production.delenv("no_proxy", raising=False)
    production.delenv("NO_PROXY", raising=False)
    for host in ("169.254.169.254", "0xa9fea9fe", "[::ffff:a9fe:a9fe]", "2852039166"):
        with pytest.raises(Misconfigured):
            Http(partner="x").send("GET", f"http://{host}/latest/meta-data", headers={})
    assert untouched(door)


def test_what_a_clinic_allows_is_a_network_or_a_name_and_a_port_where_it_says_one() -> None:
    told = "10.1.2.0/24, 10.9.0.7:2576,lab.local:2576, Mail.local , [fd00::7]:25,fd01::/64"
    rules = egress.rules({"CARERELAY_ENV": "production", "CARERELAY_EGRESS_ALLOW": told})

    def allowed(host: str, port: int, address: str) -> bool:
        return rules.allow(host, port, egress.ipaddress.ip_address(address))

    for good in (
        ("x", 1, "10.1.2.3"), ("x", 1, "::ffff:10.1.2.3"), ("x", 2576, "10.9.0.7"), ("LAB.local", 2576, "192.168.0.1"),
        ("mail.local.", 587, "192.168.0.1"), ("x", 25, "fd00::7"), ("x", 1, "fd01::9"), ("x", 443, "8.8.8.8"),
    ):  # fmt: skip
        assert allowed(*good), good
    for bad in (
        ("x", 1, "10.1.3.3"), ("x", 2575, "10.9.0.7"), ("lab.local", 22, "192.168.0.1"), ("x", 26, "fd00::7"),
        ("evil.lab.local", 2576, "192.168.0.1"), ("x", 80, "169.254.169.254"),
    ):  # fmt: skip
        assert not allowed(*bad), bad
    here = egress.rules({})
    assert here.allow("x", 1, egress.ipaddress.ip_address("127.0.0.1"))
    assert not here.allow("x", 1, egress.ipaddress.ip_address("10.0.0.1"))


@pytest.mark.parametrize("told", ["10.0.0.0/33", "10.0.0.1/8", "lab local", "lab.local:0", "lab.local:x", "http://lab"])
def test_a_rule_that_cannot_be_meant_is_refused_by_its_place(told: str) -> None:
    with pytest.raises(ValueError, match="part 2"):
        egress.rules({"CARERELAY_EGRESS_ALLOW": f"10.0.0.1,{told}"})
