"""What every new engine process is tried with before it is asked for a meter.

A meter of our own making, with keys drawn for this trial, is asked for one value. Its honest answer
must be read. Then the answer comes changed, with a wrong tag, stripped of its ciphering, and once
more as it was: all four must be refused on the way to the engine (see `guard`). gurux 1.0.203 takes
the last two when it is given them, which is why our side decides; the first two it must refuse
itself as well, or its cipher was not replaced.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import Conformance
from hesper_dlms.client import AssociationSettings
from hesper_dlms.errors import DlmsError, LocalError, SecurityError
from hesper_dlms.exchange import Exchange
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.wrapper import WrapperLink

from hesper_gateway.engines.guard import Guard
from hesper_gateway.engines.pipe import Message
from hesper_gateway.engines.terms import terms_of

T = TypeVar("T")

Ask = Callable[[Message], Awaitable[Message]]

_OURS, _METERS = b"HSRtrial", b"HSMtrial"
_VALUE = axdr.encode(axdr.double_long_unsigned(4711))
_SESSION = "trial"


class Unfit(Exception):
    """The engine must not be used; the text says why."""


class _Trial:
    def __init__(self, ask: Ask) -> None:
        keys = SecuritySettings(0, secrets.token_bytes(16), secrets.token_bytes(16))
        self._settings = AssociationSettings(
            client_address=1, system_title=_OURS, security=keys, invocation_counter=self._next
        )
        self._ask_engine = ask
        self._meter = SecurityContext(keys, _METERS, _OURS)
        self._guard = Guard(WrapperLink(1, 1), self._settings, b"")
        self._counter = 0

    def _next(self) -> int:
        self._counter += 1
        return self._counter

    async def _ask(self, do: str, **said: object) -> Message:
        return await self._ask_engine({"session": _SESSION, "do": do, **said})

    async def associate(self) -> None:
        await self._ask("open", **terms_of(self._settings, b""))
        counter = self._next()
        aarq = await self._apdu("aarq", counter=counter)
        granted = apdu.InitiateResponse(Conformance.GET | Conformance.SELECTIVE_ACCESS, 1024)
        aare = apdu.Aare(
            apdu.ApplicationContext.LOGICAL_NAME_CIPHERED,
            user_information=self._meter.protect(granted.to_octets(), self._next()),
            system_title=_METERS,
        ).to_octets()
        _carried(self._guard.associate(aarq, counter), aare)
        await self._ask("aare", apdu=aare.hex())

    async def get(self) -> tuple[bytes, int]:
        counter = self._next()
        logical_name = obis.ACTIVE_ENERGY_IMPORT.hex()
        what = {"class_id": 3, "logical_name": logical_name, "attribute_id": 2, "selection": ""}
        return await self._apdu("get", **what, counter=counter), counter

    async def _apdu(self, do: str, **said: object) -> bytes:
        answer = await self._ask(do, **said)
        if "apdu" not in answer:
            raise Unfit(f"it cannot {do}: {answer.get('failed')}")
        return bytes.fromhex(answer["apdu"])

    def answer(self) -> bytes:
        plain = apdu.GetResponseNormal(0xC1, _VALUE).to_octets()
        return self._meter.protect(plain, self._next())

    async def read(self, answer: bytes) -> object:
        """Return the value that the whole way makes of an answer; None where it is refused."""
        request, counter = await self.get()
        try:
            octets = _carried(self._guard.get(request, counter), answer)
        except SecurityError:
            return None
        return (await self._ask("answer", apdu=octets.hex())).get("value")

    async def read_unguarded(self, answer: bytes) -> object:
        """Return what the engine alone makes of an answer."""
        request, counter = await self.get()
        _carried(self._guard.get(request, counter), self.answer())
        return (await self._ask("answer", apdu=answer.hex())).get("value")


async def try_out(ask: Ask) -> None:
    """Try an engine that was just started.

    Raises:
        Unfit: it must not be used.
    """
    trial = _Trial(ask)
    try:
        await trial.associate()
        honest = trial.answer()
        if await trial.read(honest) != _VALUE.hex():
            raise Unfit("it does not read an honest answer")
        for what, forged in _forgeries(trial.answer(), honest).items():
            if await trial.read(forged) is not None:
                raise Unfit(f"{what} was accepted")
        for place in (-1, -14):
            if await trial.read_unguarded(_changed(trial.answer(), place)) is not None:
                raise Unfit("it takes a wrong tag: its cipher was not replaced")
    except (LocalError, DlmsError) as error:
        raise Unfit(f"it does not write what it is asked to: {error}") from error


def _forgeries(answer: bytes, replayed: bytes) -> dict[str, bytes]:
    return {
        "an answer that was changed": _changed(answer, -14),
        "an answer with a wrong tag": _changed(answer, -1),
        "an answer that is not ciphered": apdu.GetResponseNormal(0xC1, _VALUE).to_octets(),
        "an answer that came before": replayed,
    }


def _changed(octets: bytes, place: int) -> bytes:
    changed = bytearray(octets)
    changed[place] ^= 1
    return bytes(changed)


def _carried(exchange: Exchange[T], answer: bytes) -> T:
    """Run an exchange with one request and this answer, framed as a meter would."""
    next(exchange)
    try:
        exchange.send(b"\x00\x01\x00\x01\x00\x01" + len(answer).to_bytes(2, "big") + answer)
    except StopIteration as end:
        result: T = end.value
        return result
    raise LocalError("the exchange goes on")
