"""Keys change by key transfer, survive a kill, and only if they were wrapped rightly."""

from __future__ import annotations

import signal

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemMethod
from hesper_dlms.errors import DlmsError, ServiceError
from hesper_dlms.security.key_wrap import wrap
from hesper_sim.fleet import FleetSettings
from hesper_sim.nonvolatile import Keys

pytestmark = pytest.mark.integration

SETTINGS = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False)
TRANSFER = CosemMethod(64, obis.SECURITY_SETUP, 2)
LDN = "0.0.42.0.0.255"


@pytest.fixture
def simulator(start_simulator):
    return start_simulator(SETTINGS, "--history-days", "0")


def keys_of(simulator) -> dict:
    return simulator.ask(op="keys")["meters"][0]


def transfer(master: bytes, *keys: tuple[int, bytes]) -> axdr.Data:
    return axdr.array(
        *(
            axdr.structure(axdr.enum(number), axdr.octet_string(wrap(master, key)))
            for number, key in keys
        )
    )


class WithKeys:
    """A plan that answers with other keys."""

    def __init__(self, plan, **keys: bytes) -> None:
        self._plan, self._keys = plan, keys

    def __getattr__(self, name: str):
        return self._keys.get(name, getattr(self._plan, name))


def test_new_keys_hold_from_the_next_association_on(simulator, associated, client, attribute):
    meter = simulator.fleet.meters[0]
    master = bytes.fromhex(keys_of(simulator)["master_key"])
    new = bytes(range(16)), bytes(range(16, 32))
    with associated(simulator, meter) as (channel, managing):
        channel.run(managing.action(TRANSFER, transfer(master, (0, new[0]), (2, new[1]))))
        assert channel.run(managing.get(attribute(1, LDN))).as_text() == meter.logical_device_name
    changed = WithKeys(meter, encryption_key=new[0], authentication_key=new[1])
    for _ in range(2):
        with simulator.channel(meter) as channel, pytest.raises(DlmsError):
            channel.run(client(meter, 1).connect(), 0.5)
        with simulator.channel(meter) as channel:
            again = client(changed, 1)
            channel.run(again.connect())
            assert channel.run(again.get(attribute(1, LDN))).as_text()
        simulator.stop(signal.SIGKILL)
        simulator.start()
    told = keys_of(simulator)
    assert told["global_unicast_key"] == new[0].hex()
    assert told["authentication_key"] == new[1].hex()


def test_the_master_key_changes_too(simulator, associated):
    meter = simulator.fleet.meters[0]
    master = bytes.fromhex(keys_of(simulator)["master_key"])
    with associated(simulator, meter) as (channel, managing):
        channel.run(managing.action(TRANSFER, transfer(master, (3, bytes(16)))))
        with pytest.raises(ServiceError):
            channel.run(managing.action(TRANSFER, transfer(master, (0, bytes(16)))))
    assert keys_of(simulator)["master_key"] == bytes(16).hex()


def test_keys_wrapped_wrongly_change_nothing(simulator, associated):
    meter = simulator.fleet.meters[0]
    before = keys_of(simulator)
    master = bytes.fromhex(before["master_key"])
    good = transfer(master, (0, bytes(16))).as_items()[0]
    wrong = [
        transfer(bytes(16), (0, bytes(16))),
        axdr.array(good, transfer(bytes(16), (2, bytes(16))).as_items()[0]),
        transfer(master, (9, bytes(16))),
        transfer(master, (0, bytes(24))),
        axdr.array(axdr.integer(1)),
    ]
    with associated(simulator, meter) as (channel, managing):
        for parameters in wrong:
            with pytest.raises(ServiceError):
                channel.run(managing.action(TRANSFER, parameters))
    assert keys_of(simulator) == before
    with (
        associated(simulator, meter, 2) as (channel, reading),
        pytest.raises(ServiceError),
    ):
        channel.run(reading.action(TRANSFER, axdr.array(good)))


def test_keys_never_show():
    keys = Keys(b"secret-0", b"secret-1", b"secret-2", b"secret-3")
    assert "secret" not in repr(keys)
