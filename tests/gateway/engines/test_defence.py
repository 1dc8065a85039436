"""Nothing forged reaches the engine, and nothing it does harms gateway or meter."""

import asyncio
import json
import logging
import subprocess
import sys

import pytest
from hesper_gateway.config import MeterConfig
from hesper_gateway.engines import process
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.engines.process import Engine, EngineFailed
from hesper_gateway.errors import ConfigError, Hop, MeterDistrusted, MeterFailed
from hesper_gateway.templates.checking import check

GLO_GET_RESPONSE = 0xCC
HEAD = 8
"""Octets of a wrapper's head."""
RUN = """
from hesper_gateway.engines.gurux_worker import aes, session
{change}
import runpy
runpy.run_module("hesper_gateway.engines.gurux_worker", run_name="__main__")
"""
CHANGED_GET = """
get = session.Session.get
def changed(self, asked):
    if asked["class_id"] != 3 or asked["session"] == "trial":
        return get(self, asked)
    {does}
session.Session.get = changed
"""

REFUSES = """
answer = session.Session.answer
def changed(self, asked):
    return answer(self, asked) if asked["session"] == "trial" else {"refused": "why"}
session.Session.answer = changed
"""

OWN_CHALLENGE = """
begin = session.Session.__init__
def changed(self, terms):
    begin(self, terms | ({"challenge": "00" * 16} if terms["challenge"] else {}))
session.Session.__init__ = changed
"""


def changed_engine(does: str, **limits) -> Engine:
    """An engine whose process does something else when it is to read a register."""
    program = RUN.format(change=CHANGED_GET.format(does=does))
    return Engine(("-I", "-c", program), **limits)


def glo_answers(change):
    """Change the ciphered GET responses of a meter on the wrapper; ``change`` sees the APDU."""

    def between(frame: bytes) -> bytes:
        if frame[HEAD : HEAD + 1] != bytes((GLO_GET_RESPONSE,)):
            return frame
        apdu = change(frame[HEAD:])
        return frame[:6] + len(apdu).to_bytes(2, "big") + apdu

    return between


def flipped(place):
    def change(apdu: bytes) -> bytes:
        octets = bytearray(apdu)
        octets[place] ^= 0x01
        return bytes(octets)

    return change


def replayed():
    kept = []

    def change(apdu: bytes) -> bytes:
        kept.append(apdu)
        return kept[0]

    return change


FORGERIES = {
    "a changed octet": flipped(-14),
    "a wrong tag": flipped(-1),
    "another counter": flipped(5),
    "less protection": lambda apdu: bytes((apdu[0], apdu[1] - 12, 0x20)) + apdu[3:-12],
    "no protection": lambda _: bytes.fromhex("c401c1000600000001"),
    "an answer that came before": replayed(),
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_forged_answers_are_refused_before_the_engine_sees_them(site, what):
    site.between = glo_answers(FORGERIES[what])
    async with site.line() as line:
        session = site.session(line, site.template("high-gmac", "wrapper"))
        with pytest.raises(MeterFailed) as refused:
            async with session.reading():
                pass
    assert refused.value.hop is Hop.SECURITY
    assert isinstance(refused.value, MeterDistrusted)


async def test_a_frame_that_was_damaged_on_the_way_is_asked_for_again(site):
    damaged = []

    def once(frame: bytes) -> bytes:
        if len(frame) > 40 and not damaged:
            damaged.append(frame)
            return flipped(20)(frame)
        return frame

    async with site.line("hdlc") as line:
        site.between = once
        session = site.session(line, site.template("high-gmac", "hdlc"))
        async with session.reading() as reading:
            assert reading.identity.logical_device_name == site.plan.logical_device_name
    assert damaged


async def test_noise_never_reaches_the_engine(site):
    """16 kB of it, byte by byte, keep gurux busy for 46 s."""
    async with site.line() as line:
        session = site.session(line, site.template("low", "wrapper"))
        async with session.reading():
            before = site.engine.process_id
        site.between = lambda frame: bytes(range(1, 256)) * 64
        with pytest.raises(MeterFailed):
            async with asyncio.timeout(60), session.reading():
                pass
        site.between = lambda frame: frame
        async with session.reading():
            assert site.engine.process_id == before


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("while True: pass", "no answer within"),
        ("import os; os._exit(3)", "broke down"),
        ("import os; os.write(4, b'garbage of some length') and os._exit(0)", "broke down"),
        ("import os; os.write(4, bytes((0, 0, 195, 80)) + b'[' * 50000)", "broke down"),
        ("return {'apdu': 'no hex'}", "something else"),
        ("return {}", "something else"),
        ("return {'failed': 'so'}", "so"),
        ("bytearray(1 << 30)", "MemoryError"),
        ("import _socket; _socket.socket()", "OSError"),
        ("open('/etc/hostname')", "OSError"),
    ],
)
async def test_an_engine_that_misbehaves_costs_a_reading_and_no_more(site, does, told):
    site.engine = changed_engine(does, call_s=1.5)
    try:
        async with site.line() as line:
            session = site.session(line, site.template("high-gmac", "wrapper"))
            with pytest.raises(EngineFailed, match=told):
                async with session.reading() as reading:
                    await reading.snapshot()
            async with session.reading() as reading:  # by a new process where the old one is gone
                assert reading.identity.logical_device_name == site.plan.logical_device_name
    finally:
        await site.engine.aclose()


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("return {'apdu': 'c101c1004600006003' + '0aff0200' + '1600'}", "not protected"),
        ("asked['counter'] += 7; return get(self, asked)", "counter that is not its own"),
        ("asked['counter'] -= 1; return self.prove(asked)", "another request than a GET"),
    ],
)
async def test_an_engine_can_neither_write_nor_choose_its_counters(site, does, told):
    site.engine = changed_engine(does)
    try:
        async with site.line() as line:
            session = site.session(line, site.template("high-gmac", "wrapper"))
            with pytest.raises(MeterFailed, match=told) as failed:
                async with session.reading() as reading:
                    await reading.snapshot()
            assert failed.value.hop is Hop.GATEWAY
    finally:
        await site.engine.aclose()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("aes.replace = lambda: None", "its cipher was not replaced"),
        ("session.Session.answer = lambda self, asked: {'value': '06000003e8'}", "honest"),
        ("session.Session.get = lambda self, asked: {'apdu': 'c0'}", "not protected"),
    ],
)
async def test_an_engine_that_fails_its_trial_is_never_used(change, told, caplog):
    engine = Engine(("-I", "-c", RUN.format(change=change)))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(EngineFailed, match=f"engine gurux is not used: .*{told}"):
                await engine.ask({"session": "s", "do": "open"})
            assert engine.process_id is None
    assert len(caplog.records) == 1


async def test_a_refusal_that_is_no_number_is_the_engines_failure(site):
    site.engine = Engine(("-I", "-c", RUN.format(change=REFUSES)))
    try:
        async with site.line() as line:
            session = site.session(line, site.template("low", "wrapper"))
            with pytest.raises(EngineFailed, match="something else"):
                async with session.reading():
                    pass
    finally:
        await site.engine.aclose()


async def test_an_engine_chooses_no_challenge_of_its_own(site):
    site.engine = Engine(("-I", "-c", RUN.format(change=OWN_CHALLENGE)))
    try:
        async with site.line() as line:
            session = site.session(line, site.template("high-md5", "wrapper"))
            with pytest.raises(MeterFailed, match="a challenge or password of its own"):
                async with session.reading():
                    pass
    finally:
        await site.engine.aclose()


async def test_an_engine_that_does_not_start_is_given_up_in_time():
    engine = Engine(("-I", "-c", "while True: pass"), start_s=0.2)
    with pytest.raises(EngineFailed, match="no answer within"):
        await engine.ask({"session": "s", "do": "open"})
    assert engine.process_id is None


async def test_a_caller_that_gives_up_leaves_no_answer_for_the_next(site):
    site.engine = changed_engine("while True: pass")
    try:
        async with site.line() as line:
            session = site.session(line, site.template("low", "wrapper"))
            async with session.reading() as reading:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reading.snapshot(), 0.05)
            assert site.engine.process_id is None
    finally:
        await site.engine.aclose()


def test_the_gateway_itself_never_imports_gurux():
    script = (
        "import json, sys; import hesper_gateway.app, hesper_gateway.cli; "
        "print(json.dumps([name for name in sys.modules if 'gurux_dlms' in name]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_without_the_extra_it_says_how_to_install_it(site, monkeypatch):
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    template = site.template("low", "wrapper")
    meter = MeterConfig(id="M1", line="test", template=template.name)
    with pytest.raises(ConfigError, match=r"pip install 'hesper\[gurux\]'"):
        Gurux().check(meter, template)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('engine = "guru"', "did you mean 'gurux'"),
        ('engine = "gurux"\n[security]\nsuite = 2', "security.suite other than 0"),
        ('engine = "gurux"\n[limits]\ngeneral_blocks = true', "general block transfer"),
        ('engine = "gurux"\n[referencing]\nnames = "short-name"', "short names"),
        ('engine = "gurux"', ""),
    ],
)
def test_template_check_knows_what_the_engine_can(tmp_path, written, told):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "generic-wrapper"\ndescription = "mine"\n{written}\n')
    mistakes = check(path)
    assert bool(mistakes) == bool(told)
    if told:
        assert told in str(mistakes[0])
