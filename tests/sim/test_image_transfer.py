"""A new firmware through a real socket: blocks, power cut, SIGKILL, verification, activation."""

from __future__ import annotations

import contextlib
import signal
import time
from contextlib import contextmanager

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemMethod
from hesper_dlms.errors import DlmsError, LinkError, ServiceError
from hesper_sim.fleet import FleetSettings
from hesper_sim.objects import image_transfer

pytestmark = pytest.mark.integration

SETTINGS = FleetSettings(tcp=2, shared=0, dial_in=0, rs485=0, push=False)
VERSION = "HSP-FW 1.5.0"
IMAGE = image_transfer.build(VERSION, 3000)
FIRMWARE = "1.0.0.2.0.255"
TRANSFER = "0.0.44.0.0.255"


def method(number: int) -> CosemMethod:
    return CosemMethod(18, obis.IMAGE_TRANSFER, number)


class Campaign:
    """One client that brings one image."""

    def __init__(self, channel, client, attribute) -> None:
        self._channel, self._client, self._attribute = channel, client, attribute

    def read(self, number: int) -> axdr.Data:
        return self._channel.run(self._client.get(self._attribute(18, TRANSFER, number)))

    def invoke(
        self, number: int, parameters: axdr.Data | None = None, patience_s: float = 20
    ) -> None:
        action = self._client.action(method(number), parameters or axdr.integer(0))
        self._channel.run(action, patience_s)

    def initiate(self, image: bytes = IMAGE, identifier: str = VERSION) -> None:
        size = axdr.double_long_unsigned(len(image))
        self.invoke(1, axdr.structure(axdr.octet_string(identifier.encode()), size))

    def block(self, number: int, image: bytes = IMAGE, patience_s: float = 20) -> None:
        size = self.read(2).as_int()
        octets = image[number * size : (number + 1) * size]
        parameters = axdr.structure(axdr.double_long_unsigned(number), axdr.octet_string(octets))
        self.invoke(2, parameters, patience_s)

    def missing(self) -> list[int]:
        return [place for place, bit in enumerate(str(self.read(3).value)) if bit == "0"]

    def verified(self) -> int:
        end = time.monotonic() + 10
        while self.read(6).as_int() == 2 and time.monotonic() < end:
            time.sleep(0.02)
        return self.read(6).as_int()


@pytest.fixture
def simulator(start_simulator):
    return start_simulator(SETTINGS, "--history-days", "0")


@pytest.fixture
def campaign(associated, attribute):
    """Open a campaign on a meter: `with campaign(simulator, meter) as each`."""

    @contextmanager
    def begin(simulator, meter):
        with associated(simulator, meter) as (channel, client):
            yield Campaign(channel, client, attribute)

    return begin


def test_an_image_survives_a_power_cut_and_a_kill_and_is_activated(
    simulator, campaign, associated, attribute, wait_until
):
    meter = simulator.fleet.meters[0]
    with campaign(simulator, meter) as each:
        assert each.read(6).as_int() == 0
        each.initiate()
        for number in (0, 1, 2, 7, 2):
            each.block(number)
        assert each.missing() == [3, 4, 5, 6, *range(8, 15)]
        assert each.read(4).as_int() == 3
        with pytest.raises(ServiceError):
            each.invoke(3)
    simulator.ask(op="fault", meter=meter.serial, fault="power_cut", value=4, seconds=600)
    with contextlib.suppress(LinkError), campaign(simulator, meter) as each:
        each.block(3)
        with pytest.raises(LinkError):
            each.block(4, patience_s=1)
    wait_until(lambda: not simulator.ask(op="faults")["meters"])
    simulator.stop(signal.SIGKILL)
    simulator.start()
    with campaign(simulator, meter) as each:
        assert each.read(6).as_int() == 1
        assert each.missing() == [4, 5, 6, *range(8, 15)]
        for number in each.missing():
            each.block(number)
        with pytest.raises(ServiceError) as busy:
            each.invoke(3)
        assert busy.value.code == 2
        assert each.verified() == 3
        each.invoke(3)
        ((size, identifier, _),) = (item.as_items() for item in each.read(7).as_items())
        assert (size.as_int(), identifier.as_text()) == (len(IMAGE), VERSION)
        each.invoke(4)
        assert each.read(6).as_int() == 5
    wait_until(lambda: simulator.journal("firmware"))
    wait_until(lambda: not simulator.ask(op="faults")["meters"])
    for _ in range(2):
        with associated(simulator, meter, 2) as (channel, client):
            assert channel.run(client.get(attribute(1, FIRMWARE))).as_text() == VERSION
            assert channel.run(client.get(attribute(18, TRANSFER, 6))).as_int() == 6
        simulator.stop(signal.SIGKILL)
        simulator.start()


def test_wrong_images_are_refused(simulator, campaign):
    meter = simulator.fleet.meters[1]
    foreign = b"OTHERMAKER" + bytes(500)
    torn = IMAGE[:2000] + b"?" + IMAGE[2001:]
    with campaign(simulator, meter) as each:
        with pytest.raises(ServiceError):
            each.block(0)
        each.initiate(foreign)
        with pytest.raises(ServiceError) as refused:
            each.block(0, foreign)
        assert refused.value.code == 12
        for image, identifier in ((torn, VERSION), (IMAGE, "HSP-FW 9.9.9")):
            each.initiate(image, identifier)
            for number in each.missing():
                each.block(number, image)
            with pytest.raises(ServiceError):
                each.invoke(3)
            assert each.verified() == 4
            with pytest.raises(ServiceError):
                each.invoke(4)


def test_only_management_touches_images(simulator, associated, attribute):
    meter = simulator.fleet.meters[1]
    for address in (16, 2):
        with (
            associated(simulator, meter, address) as (channel, client),
            pytest.raises(DlmsError),
        ):
            channel.run(client.action(method(4), axdr.integer(0)))


def test_the_transfer_can_be_switched_off(simulator, associated, campaign, attribute):
    meter = simulator.fleet.meters[1]
    with associated(simulator, meter) as (channel, client):
        channel.run(client.set(attribute(18, TRANSFER, 5), axdr.boolean(False)))
    with campaign(simulator, meter) as each, pytest.raises(ServiceError):
        each.initiate()
