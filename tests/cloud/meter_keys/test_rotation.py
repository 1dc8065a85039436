"""The master key is changed while everything that is locked stays open, cut off wherever it is."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import keys, rotation
from hesper_cloud.authority import second_factor
from hesper_cloud.authority.enrolment import vault_context
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import AuditRow, KeptConfiguration, MeterKeyRow, SecondFactor
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.delivery.targets import seal_context
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.key_set import KeySet
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.vault import Locked, Vault, VaultBroken, read_masters
from sqlalchemy import Engine, func, select

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ORIGIN = Origin("operator:test", "a test", NOW)
METERS = [f"M{number}" for number in range(12)]
PEOPLE = [f"p{number}" for number in range(7)]
ROWS = len(METERS) + len(PEOPLE) + 1


def keys_of(meter: str) -> KeySet:
    return KeySet(encryption_key=meter.encode().ljust(16, b"e"), master_key=b"m" * 16)


class Keeper:
    """Keys of meters, a configuration and second factors, all under one master key."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.path = folder / "vault.key"
        self.vault = keys.vault(folder)
        self.custody = Custody(self.vault)
        with writing(self.engine) as session:
            for meter in METERS:
                self.custody.put(session, meter, keys_of(meter), ORIGIN)
            for name in PEOPLE:
                locked = self.vault.lock(name.encode(), second_factor.vault_context(name))
                session.add(
                    SecondFactor(
                        username=name,
                        wrapped_key=locked.wrapped_key,
                        box=locked.box,
                        last_step=0,
                        recovery=[],
                        enrolled_at=NOW,
                    )
                )
            locked = self.vault.lock(b"configuration", vault_context("gw-1", 1))
            session.add(
                KeptConfiguration(
                    gateway="gw-1",
                    version=1,
                    kept_at=NOW,
                    wrapped_key=locked.wrapped_key,
                    box=locked.box,
                )
            )

    def rotate(self, **options: Any) -> rotation.Rotated:
        return rotation.rotate(self.engine, self.path, NOW, **options)

    def opens(self, vault: Vault | None = None) -> bool:
        custody = Custody(vault or self.vault)
        with reading(self.engine) as session:
            row = session.get_one(KeptConfiguration, ("gw-1", 1))
            kept = (vault or self.vault).unlock(
                Locked(row.wrapped_key, row.box), vault_context("gw-1", 1)
            )
            for name in PEOPLE:
                factor = session.get_one(SecondFactor, name)
                locked = Locked(factor.wrapped_key, factor.box)
                (vault or self.vault).unlock(locked, second_factor.vault_context(name))
            return kept == b"configuration" and all(
                custody.current(session, meter) == keys_of(meter) for meter in METERS
            )

    def masters_in_use(self) -> set[str]:
        with reading(self.engine) as session:
            return set(session.scalars(select(MeterKeyRow.master)))


@pytest.fixture
def keeper(head_end, monkeypatch):
    monkeypatch.setattr(rotation, "AT_ONCE", 5)
    return Keeper(head_end.databases.authority, head_end.settings.keys)


def test_a_master_key_that_was_lost_and_made_anew_is_told(keeper):
    rotation.check(keeper.engine, keeper.vault)
    keeper.path.unlink()
    made_anew = keys.vault(keeper.path.parent)
    with pytest.raises(VaultBroken, match="put the file back"):
        rotation.check(keeper.engine, made_anew)


@pytest.mark.integration
def test_on_postgresql_as_well(postgres_database, tmp_path, monkeypatch):
    monkeypatch.setattr(rotation, "AT_ONCE", 5)
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "authority")
    keeper = Keeper(engine, tmp_path)
    with writing(engine) as session:
        keeper.custody.begin(session, "c-1", "M3", ["encryption_key"], ORIGIN)
        keeper.custody.settle(session, "c-1", True, ORIGIN)
        keeper.custody.put(session, "M3", keys_of("M3"), ORIGIN)
    assert keeper.rotate().rows == ROWS + 1  # the past set as well
    assert keeper.opens()
    engine.dispose()


def test_everything_comes_under_the_new_key_and_the_old_one_opens_nothing(keeper):
    (old,) = read_masters(keeper.path)
    done = keeper.rotate()
    assert (done.rows, done.is_finished) == (ROWS, True)
    (new,) = read_masters(keeper.path)
    assert new != old
    assert keeper.opens()
    assert keeper.masters_in_use() == {done.master}
    with pytest.raises(VaultBroken):
        keeper.opens(Vault.of(old))
    assert keeper.path.stat().st_mode & 0o077 == 0
    assert not list(keeper.path.parent.glob("*.new"))


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("at", range(10))
def test_killed_between_any_two_writes_everything_opens_and_the_next_run_ends_it(
    keeper, monkeypatch, at
):
    """Each commit and each writing of the file is a moment at which the process may end."""
    steps = iter(range(100))

    def killed_at(step: int, write: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return write(*given, **named)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(rotation, "writing", killed_at(at, rotation.writing))
        patch.setattr(keys, "write_masters", killed_at(at, keys.write_masters))
        try:
            keeper.rotate()
        except Killed:
            assert keeper.opens()
    assert keeper.opens()
    keeper.rotate()
    assert keeper.opens()
    assert len(read_masters(keeper.path)) == 1
    assert len(keeper.masters_in_use()) == 1


def test_what_is_locked_while_it_goes_on_is_not_left_behind(keeper, monkeypatch):
    """The authority that runs beside it has read the file before, and commits after."""
    rewrap, late = rotation._rewrap, []

    def meanwhile(*given: Any) -> int:
        count = rewrap(*given)
        if not late:
            late.append(Vault.of(read_masters(keeper.path)[1]))
            with writing(keeper.engine) as session:
                Custody(late[0]).put(session, "late", keys_of("late"), ORIGIN)
        return count

    monkeypatch.setattr(rotation, "_rewrap", meanwhile)
    keeper.rotate()
    with reading(keeper.engine) as session:
        assert keeper.custody.current(session, "late") == keys_of("late")
    assert len(keeper.masters_in_use()) == 1


def test_a_file_that_is_handed_over_is_read_and_never_written(keeper):
    with pytest.raises(ProvisioningError, match="put a new key above"):
        keeper.rotate(is_ours=False)
    text = keeper.path.read_text()
    keeper.path.write_text(os.urandom(32).hex() + "\n" + text)
    before = keeper.path.read_text()
    assert keeper.rotate(is_ours=False).is_finished is False
    assert keeper.path.read_text() == before
    keeper.path.write_text(before.splitlines()[0] + "\n")
    assert keeper.opens()


def test_a_row_that_opens_with_no_key_stops_it_and_keeps_the_old_one(keeper):
    with writing(keeper.engine) as session:
        session.get_one(MeterKeyRow, ("M7", 1)).wrapped_key = b"damaged"
    with pytest.raises(ProvisioningError, match="none of the master keys"):
        keeper.rotate()
    assert len(read_masters(keeper.path)) == 2


def test_the_audit_log_names_both_keys_and_shows_neither(keeper):
    (old,) = read_masters(keeper.path)
    keeper.rotate()
    (new,) = read_masters(keeper.path)
    with reading(keeper.engine) as session:
        rows = select(AuditRow).where(AuditRow.action == "keys.rotate_master")
        told = json.dumps([(row.before, row.after) for row in session.scalars(rows)])
        assert session.scalar(select(func.count()).select_from(rows.subquery())) == 2
    assert old.hex() not in told
    assert new.hex() not in told


def test_the_key_of_delivery_is_rotated_likewise(keeper, tmp_path):
    vault = keys.delivery_vault(tmp_path)
    registry = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    migrate.upgrade(registry, "registry")
    mqtt = {"config": {"kind": "mqtt"}, "made_by": "cleo", "changed_at": NOW, "version": 1}
    with writing(registry) as session:
        for name in ("bare", "sealed"):
            session.add(DeliveryTarget(name=name, kind="mqtt", failures=0, **mqtt))
        session.flush()
        row = session.scalars(select(DeliveryTarget).filter_by(name="sealed")).one()
        locked = vault.lock(b"a secret", seal_context(row.id))
        row.wrapped_key, row.sealed_secret = locked.wrapped_key, locked.box
    path = tmp_path / "delivery.key"
    before = read_masters(path)
    room = rotation.Room(registry, rotation.DELIVERY, "key of delivery")
    done = rotation.rotate(keeper.engine, path, NOW, room=room)
    assert (done.rows, done.is_finished) == (1, True)
    assert set(read_masters(path)).isdisjoint(before)
    with reading(registry) as session:
        row = session.scalars(select(DeliveryTarget).filter_by(name="sealed")).one()
    assert vault.unlock(Locked(row.wrapped_key, row.sealed_secret), seal_context(row.id)) == (
        b"a secret"
    )
    assert keeper.opens()
    registry.dispose()


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "00" * 32 + "\nzz"])
def test_a_file_that_holds_something_else_is_told_without_repeating_it(tmp_path, text):
    path = tmp_path / "vault.key"
    path.write_text(text)
    with pytest.raises(VaultBroken) as refused:
        Vault.of_file(path)
    assert str(path) in str(refused.value)
    assert "zz" not in str(refused.value)


def test_a_key_that_the_service_manager_hands_over_counts(tmp_path, monkeypatch):
    (tmp_path / "vault.key").write_text("11" * 32)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keys.vault(tmp_path / "keys").master == Vault.of(b"\x11" * 32).master
    assert not (tmp_path / "keys").exists()
