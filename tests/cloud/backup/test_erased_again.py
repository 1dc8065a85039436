"""What was erased after a backup was made does not come back with it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import command_line
import orjson
import pytest
from backed_up import NOW, T0
from hesper_cloud import restore_mark
from hesper_cloud.assets.history import ERASED
from hesper_cloud.backup import make
from hesper_cloud.cli import app
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure, Event, Gateway, Meter
from hesper_cloud.erasure import ordering, remembered
from hesper_cloud.erasure.commands import done_here
from hesper_cloud.erasure.remembered import AfterRestore, OfMeter, OfPerson, Remembering
from hesper_cloud.imports.folders import Folder
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import Databases, ProvisioningError
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import LATEST, Group, StoreUnavailable
from hesper_contracts import columns
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from sqlalchemy import func, select
from typer.testing import CliRunner

ACCOUNT = "ACC-1"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


class Killed(BaseException):
    """What no code catches."""


class House:
    """A head end with meters M0 to M2, a customer at M1, and a backup of it all."""

    def __init__(self, head_end: Any, store: DuckDbStore, folder: Path) -> None:
        self.settings, self.databases = head_end.settings, head_end.databases
        self.folder, self.backups = folder, folder / "backups"
        with writing(self.databases.registry) as session:
            known = {"version": 1, "created_at": NOW, "updated_at": NOW}
            resident = Customer(account_number=ACCOUNT, name="Ada Byron", **known)
            session.add(resident)
            session.flush()
            for name in ("M0", "M1", "M2"):
                session.add(Meter(id=name, first_seen_at=NOW))
            session.flush()
            session.get_one(Meter, "M1").customer_id = self.resident = resident.id
        store.close()
        self.back_up()

    def back_up(self) -> None:
        store = DuckDbStore(self.settings.readings_file)
        shutil.rmtree(self.backups, ignore_errors=True)
        self.backup, _ = make(self.settings, store, self.backups, NOW)
        store.close()

    def tell(self, *arguments: str, settings: Settings | None = None) -> str:
        config = self.folder / "cloud.toml"
        config.write_text(f'state = "{(settings or self.settings).state}"\n')
        answer = CliRunner().invoke(
            app, [*arguments, "-c", str(config)], catch_exceptions=False, standalone_mode=False
        )
        assert answer.exit_code == 0, answer.output
        return answer.output

    def remember(self) -> list[remembered.Erased]:
        clock = datetime.now(UTC)
        Remembering(self.databases.registry, self.backups, lambda: clock).turn()
        return remembered.read(self.backups / remembered.LIST)

    def restored(self, *more: str) -> tuple["Restored", str]:
        settings = Settings(state=self.folder / "new")
        return Restored(settings), self.tell("restore", str(self.backup), *more, settings=settings)


class Restored:
    """The head end that came out of a backup; its jobs are done one by one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def readings_of(self, meter: str) -> list[int]:
        store = DuckDbStore(self.settings.readings_file)
        found = [row.captured_at for row in store.export(0, LATEST) if row.meter == meter]
        store.close()
        return sorted(found)

    def take(self, group_: Group) -> None:
        store = DuckDbStore(self.settings.readings_file)
        store.write(group_)
        store.close()

    def look(self, now: datetime) -> list[str]:
        """Does the job that looks at what came in; returns whose orders stand then."""
        databases = Databases.open(self.settings)
        store = DuckDbStore(self.settings.readings_file)
        sources = Sources(
            *(self.settings, databases.registry, databases.authority, store, LatestValues()),
            lambda: now,
        )
        AfterRestore(sources).turn()
        store.close()
        with reading(databases.registry) as session:
            standing = select(Erasure.meter).where(Erasure.finished_at.is_(None))
            found = list(session.scalars(standing))
        databases.close()
        return found

    def carry_out(self) -> None:
        databases = Databases.open(self.settings)
        assert done_here(self.settings, databases)
        databases.close()


@pytest.fixture
def house(head_end: Any, store: DuckDbStore, tmp_path: Path) -> House:
    return House(head_end, store, tmp_path)


def of_m1(*at: int) -> Group:
    rows = MeterRows("M1", list(at), [0] * len(at), [0] * len(at), [list(at)])
    section = Section(LOAD_PROFILE, at[-1], (ENERGY,), [rows])
    return Group({}, [block_of(columns.from_sections([section])[0])], at[-1] * 1000)


def test_a_meter_that_was_erased_since_is_erased_again_and_what_gateways_bring_back_too(
    house: House,
) -> None:
    house.tell("meter", "erase", "M1", "--reason", "the customer moved out")
    assert [each.meter for each in house.remember() if isinstance(each, OfMeter)] == ["M1"]
    assert len(house.remember()) == 1, "it is remembered once"
    now = datetime.now(UTC)
    new, output = house.restored()
    assert "ordered again: 1 orders, 0 persons" in output
    assert new.readings_of("M1"), "the backup has brought it back"
    before = new.readings_of("M0")
    new.carry_out()
    assert (new.readings_of("M1"), new.readings_of("M0")) == ([], before)
    assert new.look(now) == []
    later = int(now.timestamp()) + 900
    new.take(of_m1(T0, T0 + 900, later))
    assert new.look(now) == ["M1"]
    new.carry_out()
    assert new.readings_of("M1") == [later], "who lives there now keeps what is theirs"
    assert new.look(now) == []
    new.look(now + timedelta(days=700))
    for day in range(1, 14):
        assert (new.settings.state / remembered.NOTE).exists(), "a clock was ahead for a moment"
        new.look(now + timedelta(days=day))
    assert not (new.settings.state / remembered.NOTE).exists()


@pytest.mark.parametrize("interrupted", ["copies", "orders"])
def test_nobody_starts_where_a_restore_was_interrupted(
    house: House, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    house.tell("meter", "erase", "M1", "--reason", "the customer moved out")
    house.remember()
    module, name = {
        "copies": ("hesper_cloud.backup.readings", "restore"),
        "orders": ("hesper_cloud.erasure.remembered", "order_again"),
    }[interrupted]
    with monkeypatch.context() as killed:
        killed.setattr(f"{module}.{name}", _killed)
        with pytest.raises(Killed):
            house.restored()
    state = house.folder / "new"
    for role in ("run", "ingest", "authority"):
        answer = command_line.tell(house.folder / "cloud.toml", role)
        assert answer.returncode == 2
        assert f"a restore of {house.backup} into {state} has not ended" in answer.stderr
    with pytest.raises(ProvisioningError, match="there already"):
        house.restored()
    shutil.rmtree(state)
    new, output = house.restored()
    assert "ordered again: 1 orders" in output
    restore_mark.refuse(new.settings.state)


def _killed(*_arguments: object) -> None:
    raise Killed


def test_what_was_ordered_while_the_backup_began_is_ordered_again(house: House) -> None:
    ordering.order(house.databases, "M1", "moved out", NOW - timedelta(seconds=1))
    ordering.order(house.databases, "M2", "moved out", NOW)
    house.remember()
    new, output = house.restored()
    assert "ordered again: 2 orders" in output
    new.carry_out()
    assert new.readings_of("M1") == []


def test_events_that_come_back_are_erased_again(house: House) -> None:
    house.tell("meter", "erase", "M1", "--reason", "the customer moved out")
    house.remember()
    new, _ = house.restored()
    new.carry_out()
    databases = Databases.open(new.settings)
    with writing(databases.registry) as session:
        session.add(Gateway(id="gw-9", state="online", first_seen_at=NOW, attributes={}))
        session.flush()
        told = {"code": "x", "severity": "info", "text": "a cover was opened"}
        session.add(
            Event(id="e-1", meter="M1", gateway="gw-9", occurred_at=NOW, stored_at=NOW, **told)
        )
    assert new.look(datetime.now(UTC)) == ["M1"]
    new.carry_out()
    with reading(databases.registry) as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 0
    databases.close()


def test_a_person_who_was_erased_since_is_nobody_again(house: House) -> None:
    house.tell("person", "erase", ACCOUNT, "--reason", "it was asked for")
    assert house.resident in [
        each.customer for each in house.remember() if isinstance(each, OfPerson)
    ]
    assert len([each for each in house.remember() if isinstance(each, OfPerson)]) == 1
    assert "Byron" not in (house.backups / remembered.LIST).read_text()
    new, output = house.restored()
    assert "1 persons" in output
    databases = Databases.open(new.settings)
    with reading(databases.registry) as session:
        assert session.get_one(Customer, house.resident).name == ERASED
    with reading(databases.authority) as session:
        reasons = session.scalars(select(AuditRow.why).where(AuditRow.action == "person.erase"))
        assert remembered.WHY in reasons.all()
    databases.close()


def test_files_that_name_a_person_who_was_erased_since_are_gone_again(house: House) -> None:
    """The backup of before has them; that of nobody else's is restored."""
    hers, other = "01" * 16, "02" * 16
    for name, brought in ((hers, "Ada Byron"), (other, "Grace Hopper")):
        folder = Folder(house.settings.state, name)
        folder.make()
        folder.good.write_bytes(orjson.dumps({"row": 2, "cells": [brought]}) + b"\n")
    store = DuckDbStore(house.settings.readings_file)
    house.backup, _ = make(house.settings, store, house.backups, NOW + timedelta(hours=1))
    store.close()
    house.tell("person", "erase", ACCOUNT, "--reason", "it was asked for")
    house.remember()
    new, _ = house.restored()
    there = {name: Folder(new.settings.state, name).path.exists() for name in (hers, other)}
    assert there == {hers: False, other: True}


def test_of_a_household_the_new_one_is_left_alone(house: House) -> None:
    house.tell("meter", "erase", "M1", "--reason", "moved out", "--forget-customer")
    house.remember()
    new, _ = house.restored()
    new.carry_out()
    databases = Databases.open(new.settings)
    with writing(databases.registry) as session:
        assert session.get_one(Customer, house.resident).name == ERASED
        session.get_one(Meter, "M1").customer = "Grace Hopper"
    new.take(of_m1(T0))
    assert new.look(datetime.now(UTC)) == ["M1"]
    new.carry_out()
    with reading(databases.registry) as session:
        assert session.get_one(Meter, "M1").customer == "Grace Hopper"
    databases.close()


def test_what_was_ordered_before_the_backup_is_not_ordered_again(house: House) -> None:
    ordering.order(house.databases, "M0", "moved out", NOW - timedelta(days=2))
    house.back_up()
    house.tell("meter", "erase", "M1", "--reason", "moved out")
    assert len(house.remember()) == 2
    new, output = house.restored()
    assert "ordered again: 1 orders" in output
    assert new.look(datetime.now(UTC)) == ["M0", "M1"], "the one of the backup stands there"


def test_a_meter_that_the_backup_does_not_know_is_named(house: House) -> None:
    with writing(house.databases.registry) as session:
        session.add(Meter(id="M9", first_seen_at=NOW))
    ordering.order(house.databases, "M9", "moved out", datetime.now(UTC))
    house.remember()
    assert "still wanted: hesper-cloud meter erase M9" in house.restored()[1]


def test_a_list_that_is_elsewhere_is_named_and_one_that_is_damaged_refused(house: House) -> None:
    house.tell("meter", "erase", "M1", "--reason", "moved out")
    house.remember()
    away = house.folder / "list.json"
    (house.backups / remembered.LIST).rename(away)
    away.write_text(away.read_text()[:-20])
    config = house.folder / "cloud.toml"
    arguments = ["restore", str(house.backup), "--erased", str(away), "-c", str(config)]
    config.write_text(f'state = "{house.folder / "new"}"\n')
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code != 0
    assert "is no list of erasures" in str(refused.exception)
    assert not (house.folder / "new").exists(), "nothing is restored without it"
    away.unlink()
    Remembering(house.databases.registry, house.folder, lambda: datetime.now(UTC)).turn()
    more = ("--erased", str(house.folder / remembered.LIST))
    assert "ordered again: 1 orders" in house.restored(*more)[1]


def test_a_list_that_cannot_be_read_is_told_and_not_replaced(house: House) -> None:
    house.tell("meter", "erase", "M1", "--reason", "moved out")
    path = house.backups / remembered.LIST
    path.write_text("[{")
    with pytest.raises(StoreUnavailable, match="not remembered"):
        house.remember()
    assert path.read_text() == "[{"


def test_nothing_is_remembered_where_no_backups_are(house: House) -> None:
    house.tell("meter", "erase", "M1", "--reason", "moved out")
    for folder in (None, house.folder / "not mounted"):
        Remembering(house.databases.registry, folder, lambda: datetime.now(UTC)).turn()
    assert not (house.folder / "not mounted").exists()


def test_without_a_list_a_restore_says_what_to_do(house: House) -> None:
    assert "order it again by your own list" in house.restored()[1]
