"""New keys come sealed, are stored, given to the meter and proven; one set always opens it."""

import base64
import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import new_keys
from hesper_contracts.new_keys import NewKeys, Recipient
from hesper_contracts.signing import Signer
from hesper_dlms.errors import ServiceError
from hesper_gateway.errors import MeterFailed
from hesper_gateway.key_store import KeyStore
from hesper_sim import key_change
from hesper_sim.nonvolatile import Keys
from hesper_sim.objects.security import key_change as served_key_change

NEW = NewKeys(
    encryption_key=bytes.fromhex("a1" * 16),
    authentication_key=bytes.fromhex("b2" * 16),
    master_key=bytes.fromhex("c3" * 16),
)


def sealed(works: Any, new: NewKeys = NEW, command_id: str = "c-1", **changes: Any) -> str:
    recipient = Recipient(
        **({"gateway": "gw-1", "meter": works.serial} | changes), command_id=command_id
    )
    return base64.b64encode(new_keys.seal(new, recipient, works.key.public_key)).decode()


async def change(works: Any, new: NewKeys = NEW, counter: int = 1) -> Any:
    box = sealed(works, new, f"c-{counter}")
    return await works.result("keys.change", counter, parameters={"sealed": box})


def at_meter(works: Any) -> Keys:
    return key_change.keys_of(works.district, works.meter)


def stored(works: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (works.folder / "keys" / f"{works.serial}.json").read_text()
    )
    return document


def is_new(works: Any) -> bool:
    keys = at_meter(works)
    return (keys.encryption, keys.authentication, keys.master) == (
        NEW.encryption_key,
        NEW.authentication_key,
        NEW.master_key,
    )


async def test_keys_are_changed_proven_and_the_old_ones_dropped(
    works: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with works.working():
        result = await change(works)
        assert (result.state, result.detail, result.findings.keys) == ("confirmed", "", "new")
        later = await works.result("relay.read", 2)
        assert later.state == "confirmed"
    assert is_new(works)
    document = stored(works)
    assert document["keys"]["encryption_key"] == "a1" * 16
    assert "pending" not in document
    assert works.plan.encryption_key.hex() not in json.dumps(document)
    path = works.folder / "keys" / f"{works.serial}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert works.settled == [(works.serial, "c-1", True)]
    assert "a1a1a1" not in caplog.text


async def test_a_restarted_gateway_opens_with_the_new_keys(works: Any) -> None:
    async with works.working():
        await change(works)
    async with works.working():
        assert (await works.result("relay.read", 2)).state == "confirmed"
        again = NewKeys(encryption_key=bytes(range(16)))
        assert (await change(works, again, 3)).findings.keys == "new"
    assert at_meter(works).encryption == bytes(range(16))
    assert at_meter(works).authentication == NEW.authentication_key


async def test_nothing_secret_is_in_the_gateways_database(works: Any) -> None:
    async with works.working():
        await change(works)
    works.database.close()
    octets = b"".join(path.read_bytes() for path in works.folder.glob("gateway.db*"))
    for secret in (NEW.encryption_key, NEW.authentication_key, NEW.master_key):
        assert secret is not None
        assert secret not in octets
        assert secret.hex().encode() not in octets


async def test_every_key_has_a_counter_of_its_own(works: Any) -> None:
    async with works.working():
        await change(works)
    rows = works.database.read(lambda c: c.execute("SELECT key_name FROM counters").fetchall())
    assert len({name for (name,) in rows}) == 2


async def test_a_meter_that_declines_keeps_its_keys(works: Any) -> None:
    """As one whose master key is another than the gateway knows."""
    works.district.change_keys(works.meter, Keys(master=bytes(16)))
    async with works.working():
        result = await change(works)
        assert (await works.result("relay.read", 2)).state == "confirmed"
    assert (result.state, result.findings.keys) == ("failed", "old")
    assert result.detail.startswith("the meter declines the new keys")
    assert "pending" not in stored(works)
    assert works.settled == [(works.serial, "c-1", False)]


async def test_a_meter_that_says_no_and_has_taken_them_is_not_lost(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word settles nothing, nor does somebody's who answers in its place."""
    take = served_key_change.take

    def take_and_decline(*given: Any) -> None:
        take(*given)
        raise ServiceError(250)

    monkeypatch.setattr(served_key_change, "take", take_and_decline)
    async with works.working():
        result = await change(works)
        assert (await works.result("relay.read", 2)).state == "confirmed"
    assert is_new(works)
    assert (result.state, result.findings.keys) == ("confirmed", "new")
    assert result.detail.startswith("the meter declines the new keys")


@pytest.mark.parametrize("lost", range(3, 17, 2))
async def test_whichever_answer_is_lost_the_result_is_true(works: Any, lost: int) -> None:
    async with works.working():
        works.silent_after = works.received + lost
        result = await change(works)
        works.silent_after = None
        assert (await works.result("relay.read", 2)).state == "confirmed"
    assert result.state == ("confirmed" if is_new(works) else "failed")


async def test_a_meter_that_is_gone_settles_itself_when_it_is_back(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the keys and fell silent: unknown, both are kept, the next reading finds out."""
    take = served_key_change.take

    def take_and_fall_silent(*given: Any) -> None:
        take(*given)
        works.silent = True

    monkeypatch.setattr(served_key_change, "take", take_and_fall_silent)
    async with works.working():
        result = await change(works)
        assert (result.state, result.findings.keys) == ("unknown", "either")
        assert {"keys", "pending"} <= stored(works).keys()
        works.silent = False
        assert (await works.result("relay.read", 2)).state == "confirmed"
    assert works.settled == [(works.serial, "c-1", True)]
    assert "pending" not in stored(works)


async def test_another_meter_that_shares_the_old_keys_settles_nothing(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address leads to another meter meanwhile: the new keys must not be forgotten."""
    take = served_key_change.take

    def take_and_fall_silent(*given: Any) -> None:
        take(*given)
        works.silent = True

    monkeypatch.setattr(served_key_change, "take", take_and_fall_silent)
    async with works.working():
        await change(works)
    works.silent = False
    works.district.change_keys(works.meter, Keys())
    async with works.working(logical_device_name="HSP0000000000000"):
        assert (await works.result("relay.read", 2)).state == "failed"
    assert "pending" in stored(works)
    assert works.settled == []


async def test_a_change_that_is_open_is_not_overwritten(works: Any) -> None:
    held = KeyStore(works.folder / "keys").held(works.serial, works.keys)
    await held.begin("c-1", NEW)
    with pytest.raises(MeterFailed, match="is not settled"):
        await held.begin("c-2", NewKeys(encryption_key=bytes(16)))
    assert stored(works)["pending"]["encryption_key"] == "a1" * 16


async def test_another_meter_gets_no_keys(works: Any) -> None:
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await change(works)
    assert result.state == "failed"
    assert not is_new(works)
    assert not (works.folder / "keys").exists()


@pytest.mark.parametrize("changes", [{"meter": "M9"}, {"gateway": "gw-2"}, {"command_id": "c-9"}])
async def test_keys_sealed_for_something_else_are_rejected(
    works: Any, changes: dict[str, str]
) -> None:
    async with works.working():
        result = await works.result("keys.change", parameters={"sealed": sealed(works, **changes)})
    assert result.state == "rejected"
    assert "not sealed for this gateway and this command" in result.detail
    assert works.received == 0


async def test_keys_sealed_for_another_gateways_key_are_rejected(works: Any) -> None:
    works.key, ours = Signer.generate(), works.key
    box = sealed(works)
    works.key = ours
    async with works.working():
        result = await works.result("keys.change", parameters={"sealed": box})
    assert (result.state, works.received) == ("rejected", 0)


async def test_keys_that_the_meter_has_already_are_proven_and_not_sent(works: Any) -> None:
    async with works.working():
        result = await change(works, NewKeys(encryption_key=works.plan.encryption_key))
    assert (result.state, result.findings.keys) == ("confirmed", "new")
    assert result.detail == "the meter had these keys already"
    assert not (works.folder / "keys").exists()


async def test_a_full_disk_stops_it_before_the_meter_is_told(works: Any) -> None:
    async with works.working():
        (works.folder / "keys").write_text("no folder")
        result = await change(works)
    assert result.state == "failed"
    assert "new keys cannot be stored" in result.detail
    assert not is_new(works)


async def test_new_keys_in_the_keys_file_count_again(works: Any, tmp_path: Path) -> None:
    async with works.working():
        await change(works)
    given = type(works.keys)(bytes(range(16)), bytes(range(16)), master_key=bytes(16))
    store = KeyStore(works.folder / "keys")
    assert store.held(works.serial, given).current == given
    assert store.held(works.serial, works.keys).current.encryption_key == NEW.encryption_key


def test_a_damaged_file_is_moved_aside(works: Any, caplog: pytest.LogCaptureFixture) -> None:
    folder = works.folder / "keys"
    folder.mkdir()
    path = folder / f"{works.serial}.json"
    path.write_text('{"keys": {"encryption_key": "zz"}, "instead_of": ')
    held = KeyStore(folder).held(works.serial, works.keys)
    assert held.current == works.keys
    assert [each.suffix for each in folder.iterdir()] == [".damaged"]
    assert "was damaged" in caplog.text
