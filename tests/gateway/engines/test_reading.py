"""What is read through the gurux engine is what our own stack reads, by every mechanism."""

import pytest
from hesper_dlms import obis
from hesper_gateway.config import MeterConfig
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.errors import ConfigError, MeterRefused
from hesper_gateway.sessions import RelayAction
from hesper_gateway.sessions.reading import Past

LATER = Past(first=False, set_back_s=0)


async def everything(session, now):
    """Clock, name, registers, a day of the load profile and the relay."""
    async with session.reading() as reading:
        snapshot = await reading.snapshot()
        shape = await reading.shape(obis.LOAD_PROFILE_1)
        rows = []
        async for chunk in reading.profile(shape, int(now) - 86400, LATER):
            (found,) = chunk.section.rows
            rows += zip(found.captured_at, *found.values, strict=True)
        name, drift_s = reading.identity.logical_device_name, reading.clock.drift_s
    relay = await session.read_relay()
    return name, sorted(snapshot.by_name()), rows, (relay.output, relay.control), drift_s


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize(
    "authentication", ["low", "high-md5", "high-sha1", "high-gmac", "high-sha256"]
)
async def test_the_engine_reads_what_our_own_stack_reads(site, authentication, link):
    template = site.template(authentication, link)
    own = template.model_copy(update={"engine": "hesper"})
    async with site.line(link) as line:
        by_gurux = await everything(site.session(line, template), site.now())
        by_us = await everything(site.session(line, own), site.now())
    assert by_gurux == by_us
    assert len(by_gurux[2]) >= 95
    assert len(set(site.counters.given)) == len(site.counters.given)


async def test_without_authentication_the_public_client_is_served(site):
    async with site.line() as line:
        name, clock = await site.session(line, site.template("low", "wrapper")).greet_publicly()
    assert name == site.plan.logical_device_name
    assert clock is not None


async def test_counters_with_holes_are_used_as_they_were_reserved(site):
    """Two meters with one key share its counters, so that ours may not follow each other."""
    async with site.line() as line:
        session = site.session(line, site.template("high-gmac", "wrapper"))
        async with session.reading():
            pass
        taken, source = [], site.counters

        def skipping():
            taken.append(source())
            if len(taken) in (2, 5):
                source()
            return taken[-1]

        session._opening._counter = type("Holes", (), {"__call__": lambda _: skipping()})()
        async with session.reading() as reading:
            await reading.snapshot()


async def test_nothing_is_written_through_the_engine(site):
    async with site.line() as line:
        session = site.session(line, site.template("high-gmac", "wrapper"))
        with pytest.raises(MeterRefused, match="only reads"):
            await session.move_relay(
                RelayAction.DISCONNECT, site.plan.logical_device_name, lambda: None
            )
        assert (await session.read_relay()).output
        async with session.reading() as reading:
            with pytest.raises(MeterRefused, match="only reads"):
                await reading.association.action(None, None)


def test_a_meter_whose_authentication_key_is_unknown_is_refused_in_words(site):
    template = site.template("high-gmac", "wrapper")
    meter = MeterConfig(id="M1", line="a", template="x", authentication_key_unknown=True)
    with pytest.raises(ConfigError, match="needs the authentication_key"):
        Gurux().check(meter, template)
