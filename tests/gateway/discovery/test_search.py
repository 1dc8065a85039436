"""Places, how long asking them takes, and lines on which somebody else talks."""

import asyncio
import os
import pty
import tty

import pytest
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, SerialLine, TcpLine
from hesper_gateway.database import Database, DatabaseError, DatabaseInUse, held
from hesper_gateway.discovery import Found, Place, Search, Wanted
from hesper_gateway.discovery.places import LISTEN_S, SIGN_ON_S, Setting
from hesper_gateway.discovery.probe import Answer
from hesper_gateway.discovery.proposal import configured_as, fitting, proposal
from hesper_gateway.errors import ConfigError, LineDown, LineInUse
from hesper_gateway.templates.formula import Formula

BUS = SerialLine(name="bus", kind="serial", path="/dev/ttyX")
LAN = TcpLine(name="lan", kind="tcp", host="127.0.0.1", port=1)
KNOWN = [templates.load(name) for name in templates.names()]


def found(name="", place=None, setting=None, **answer):
    return Found(place or Place("hdlc", 1, 17), setting or Setting(9600), Answer(name, **answer))


def test_a_bus_is_asked_form_by_form_and_the_one_that_names_nobody_last():
    wanted = Wanted(physicals=(16, 17), address_octets=(None, 4))
    assert [str(place) for place in wanted.places(BUS)] == [
        "HDLC logical 1, physical 16",
        "HDLC logical 1, physical 17",
        "HDLC logical 1, physical 16 in 4 octets",
        "HDLC logical 1, physical 17 in 4 octets",
        "HDLC logical 1",
    ]
    assert {place.link for place in wanted.places(LAN)} == {"wrapper", "hdlc"}


def test_the_estimate_counts_silence_speeds_and_sign_ons():
    wanted = Wanted(physicals=range(16, 25), speeds=(9600, 2400), silence_s=0.5)
    assert wanted.estimate_s(BUS) == 2 * (10 * 0.5 + LISTEN_S)
    optical = BUS.model_copy(update={"mode_e": True})
    assert wanted.estimate_s(optical) == 10 * 0.5 + SIGN_ON_S
    with pytest.raises(ConfigError, match="no wrapper there"):
        Wanted(links=("wrapper",)).places(BUS)


async def test_a_line_on_which_somebody_talks_is_left_alone(tmp_path):
    far, near = pty.openpty()
    tty.setraw(near)
    path = tmp_path / "bus"
    path.symlink_to(os.ttyname(near))
    loop = asyncio.get_running_loop()
    os.set_blocking(far, False)
    heard = bytearray()
    loop.add_reader(far, lambda: heard.extend(os.read(far, 1024)))
    talk = loop.call_later(0.1, os.write, far, b"\x7e\xa0\x07")
    search = Search(BUS.model_copy(update={"path": path}), Wanted(), lambda *_: None)
    try:
        with pytest.raises(LineInUse, match=r"3 octets were heard .* nothing was sent"):
            await search.run()
        assert not heard
    finally:
        talk.cancel()
        loop.remove_reader(far)
        os.close(far)
        os.close(near)


async def test_a_port_that_is_not_there_is_told():
    with pytest.raises(LineDown, match="ttyX"):
        await Search(BUS, Wanted(), lambda *_: None).run()


async def test_nothing_but_reading_is_ever_sent():
    """Every APDU of a search asks to associate, to get or to release."""
    sent, told = [], []

    async def answer(reader, writer):
        while octets := await reader.read(4096):
            sent.append(octets[8])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        line = LAN.model_copy(update={"port": port})
        wanted = Wanted(links=("wrapper",), servers=(1, 2), silence_s=0.05)
        assert await Search(line, wanted, lambda *each: told.append(each)).run() == []
    assert set(sent) == {0x60}
    assert [count for count, _ in told] == [1, 2, 2]


def test_the_template_is_that_of_the_name_and_the_link():
    assert fitting(found("HXE0123456789012"), KNOWN) == "hexing-hdlc"
    optical = found("HXE0123456789012", setting=Setting(9600, ""))
    assert fitting(optical, KNOWN) == "hexing-optical"
    assert fitting(found("HXE01", Place("wrapper", 1)), KNOWN) == "hexing-wrapper"
    assert fitting(found("ABC01"), KNOWN) == "generic-hdlc"
    assert fitting(found(), KNOWN) == "generic-hdlc"


def test_what_is_missing_is_said_beside_the_proposal():
    text = proposal([found(refused="association rejected", setting=Setting(2400))], BUS, KNOWN, ())
    assert text.splitlines() == [
        "[[meters]]",
        'id = "unnamed-17"',
        'line = "bus"',
        'template = "generic-hdlc"',
        "server_address = 1",
        "physical_address = 17",
        '# keys_file = "keys/unnamed-17.json"',
        "# It keeps its name to itself: add logical_device_name from its plate.",
        "# It answers at 2400 baud; line bus is set to 9600.",
        "# No template knows this kind: write one with hesper-gateway template learn.",
        "# Template generic-hdlc is unverified.",
    ]


def test_a_meter_is_known_by_its_place_or_its_name():
    meter = MeterConfig(
        id="M1", line="bus", template="t", physical_address=17, logical_device_name="HSP1"
    )
    assert configured_as(found(), BUS, [meter], KNOWN) == "M1"
    assert configured_as(found("HSP1", Place("hdlc", 1, 18)), BUS, [meter], KNOWN) == "M1"
    assert configured_as(found("HSP2", Place("hdlc", 1, 18)), BUS, [meter], KNOWN) is None
    assert configured_as(found(), LAN, [meter], KNOWN) is None


@pytest.mark.parametrize("said", [{"physical": 17}, {"physical": Formula("serial[-2:]")}])
def test_a_meter_is_known_in_the_place_that_its_template_gives_it(said):
    kind = templates.load("generic-hdlc")
    addresses = kind.addresses.model_copy(update=said)
    kind = kind.model_copy(update={"name": "own", "addresses": addresses})
    meter = MeterConfig(id="HES0017", line="bus", template="own")
    assert configured_as(found(), BUS, [meter], [*KNOWN, kind]) == "HES0017"
    elsewhere = MeterConfig(id="HES0017", line="bus", template="own", physical_address=18)
    assert configured_as(found(), BUS, [elsewhere], [*KNOWN, kind]) is None


def test_another_meter_in_a_known_place_is_not_the_known_one():
    first, second = (
        MeterConfig(
            id=f"M{n}", line="bus", template="t", physical_address=16 + n,
            logical_device_name=f"HSP{n}",
        )
        for n in (1, 2)
    )  # fmt: skip
    assert configured_as(found("HSP2"), BUS, [first, second], KNOWN) == "M2"
    exchanged = found("HSP3")
    assert configured_as(exchanged, BUS, [first, second], KNOWN) is None
    text = proposal([exchanged], BUS, KNOWN, [first, second])
    assert "# gateway.toml has M1, HSP1, there: was it exchanged?" in text
    assert "M2" not in text


def test_only_an_agent_that_was_there_is_kept_out(tmp_path):
    """A lock made by an installer's account would keep the agent itself out."""
    path = tmp_path / "state" / "gateway.db"
    with held(path):
        assert not path.parent.exists()
    Database(path, 0).close()
    with held(path), pytest.raises(DatabaseInUse):
        Database(path, 0)
    (path.parent / "gateway.db.lock").unlink()
    (path.parent / "gateway.db.lock").mkdir()
    with pytest.raises(DatabaseError, match=r"gateway\.db\.lock"), held(path):
        pass
