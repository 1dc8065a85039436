"""A site's folder: begun, found again, held by one run, forgotten; nobody else's is touched."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_lab.site import InUse, NotASite, Site, Wishes, forget

SMALL = Wishes(tcp_meters=2, capture_period_s=5)


def test_a_second_start_finds_the_same_site(tmp_path: Path) -> None:
    first = Site.open(tmp_path, SMALL)
    assert first.is_new
    first.remember()
    first.lock.close()
    again = Site.open(tmp_path, Wishes())
    again.lock.close()
    assert not again.is_new
    assert (again.wishes, again.ports, again.accounts) == (SMALL, first.ports, first.accounts)
    assert (tmp_path / "site.json").stat().st_mode & 0o077 == 0
    assert first.accounts[0].password not in repr(first)


def test_whoever_stops_all_commands_two_others_may_let_them_leave_again(tmp_path: Path) -> None:
    site = Site.open(tmp_path, SMALL)
    site.lock.close()
    accounts = {each.username: Role(each.role) for each in site.accounts}
    lifts = {each for each, role in accounts.items() if grants(role, Permission.APPROVE_COMMAND)}
    assert all(len(lifts - {setter}) >= 2 for setter in accounts)


def test_a_port_that_was_taken_meanwhile_is_chosen_anew(tmp_path: Path) -> None:
    first = Site.open(tmp_path, SMALL)
    first.remember()
    first.lock.close()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", first.ports.broker))
        squatter.listen()
        again = Site.open(tmp_path, SMALL)
        again.lock.close()
    assert again.ports.broker != first.ports.broker
    assert replace(again.ports, broker=first.ports.broker) == first.ports


def test_the_console_is_where_it_was_wished_when_that_is_free(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        wished = squatter.getsockname()[1]
        elsewhere = Site.open(tmp_path / "one", replace(SMALL, console_port=wished))
    there = Site.open(tmp_path / "two", replace(SMALL, console_port=wished))
    for site in (elsewhere, there):
        site.lock.close()
    assert elsewhere.ports.web != wished
    assert there.ports.web == wished


def test_all_ports_differ(tmp_path: Path) -> None:
    site = Site.open(tmp_path, Wishes())
    site.lock.close()
    ports = site.ports
    single = [ports.broker, ports.web, ports.dial_in, ports.shared, ports.influx, ports.influx_rpc]
    assert len({*single, *ports.tcp}) == len(single) + Wishes().tcp_meters


def test_one_run_holds_the_folder(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "site", SMALL)
    with pytest.raises(InUse, match="another run uses"):
        Site.open(tmp_path / "site", SMALL)
    with pytest.raises(InUse):
        forget(tmp_path / "site")
    assert site.logs.exists()
    site.lock.close()
    forget(tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_what_is_no_site_is_not_removed(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(NotASite, match="something else"):
        forget(tmp_path)
    assert precious.exists()
    forget(tmp_path / "never was")
