"""Looking for meters on one line, place by place.

Theory of operation
-------------------
A serial line is listened to first: octets that nobody of ours has asked for are those of another
master, or of meters that push, and asking in between would disturb both, so that the search ends
there. Then each place is asked once. Where somebody answers by HDLC and lists its logical devices,
the other logical addresses at that physical one are known and not asked. On a line of mode E the
sign-on comes first; nobody has to be looked for where it is not answered.

The caller keeps the agent out (`database.held`) while this runs: a line has one master.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from hesper_dlms.errors import DlmsError

from hesper_gateway.config import LineConfig, MeterConfig, SerialLine, TcpLine, UdpLine
from hesper_gateway.discovery.places import LISTEN_S, Place, Setting, Wanted
from hesper_gateway.discovery.probe import Answer, probe
from hesper_gateway.errors import ConfigError, LineDown, LineInUse, MeterFailed
from hesper_gateway.lines.channel import Carrier, Channel, drive
from hesper_gateway.lines.serial_port import SerialCarrier
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.lines.udp import UdpCarrier

CONNECT_S = 5.0
PLACE_S = 60.0
"""The longest that one place may take, however much it has to tell."""


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who answers."""

    place: Place
    setting: Setting
    answer: Answer
    identification: str = ""
    """What it said at the sign-on by mode E, as ``HXE 5 \\2HXE12``."""


Tell = Callable[[int, Found | None], None]
"""Takes how many places are dealt with, and who answered at the last of them."""


class Search:
    """Looks for the meters of one line.

    Args:
        line: From gateway.toml.
        wanted: What is to be asked.
        tell: Told after every place.

    Raises:
        ConfigError: meters of such a line cannot be looked for.
    """

    def __init__(self, line: LineConfig, wanted: Wanted, tell: Tell) -> None:
        self._line = line
        self._wanted = wanted
        self._tell = tell
        self._places = wanted.places(line)
        self._found: list[Found] = []
        self._dealt_with = 0

    @property
    def total(self) -> int:
        """How many places there are."""
        return len(self._places) * len(self._wanted.settings(self._line))

    async def run(self) -> list[Found]:
        """Return who answers.

        Raises:
            LineInUse: somebody else talks on the line.
            LineDown: the line cannot be opened.
        """
        for setting in self._wanted.settings(self._line):
            carrier = _carrier(self._line, setting)
            try:
                await self._round(carrier, setting)
            finally:
                await carrier.aclose()
        return self._found

    async def _round(self, carrier: Carrier, setting: Setting) -> None:
        line = self._line
        meter = MeterConfig(
            id="discovery", line=line.name, template="", mode_e_address=setting.mode_e_address
        )
        if isinstance(carrier, SerialCarrier) and setting.mode_e_address is not None:
            await self._signed_on(carrier, meter, setting)
            return
        if isinstance(carrier, SerialCarrier):
            await _listen(await carrier.open(meter, CONNECT_S), line.name)
        for place in self._unknown():
            channel = await carrier.open(meter, CONNECT_S)
            answer = await self._ask(channel, place)
            await channel.release(broken=answer is None)
            self._note(place, setting, answer)
        self._pass_over(setting)

    async def _signed_on(
        self, carrier: SerialCarrier, meter: MeterConfig, setting: Setting
    ) -> None:
        """Sign on once; whoever answers is one meter, at one of the places."""
        try:
            channel = await carrier.open(meter, CONNECT_S)
        except LineDown:
            if not carrier.is_open:
                raise
            self._pass_over(setting)
            return
        said = carrier.signed_on
        told = "" if said is None else f"{said.manufacturer} {said.text}".strip()
        for place in self._places:
            answer = await self._ask(channel, place)
            self._note(place, setting, answer, told)
            if answer is not None:
                break
        await channel.release(broken=False)
        self._pass_over(setting)

    async def _ask(self, channel: Channel, place: Place) -> Answer | None:
        silence_s = self._wanted.silence_s
        with suppress(MeterFailed, DlmsError):
            return await drive(channel, probe(place), answer_s=silence_s, exchange_s=PLACE_S)
        return None

    def _unknown(self) -> Iterator[Place]:
        """Yield the places that nothing found so far has told of."""
        for place in self._places:
            if any(_tells_of(found, place) for found in self._found):
                self._note(place, None, None)
            else:
                yield place

    def _note(
        self, place: Place, setting: Setting | None, answer: Answer | None, told: str = ""
    ) -> None:
        self._dealt_with += 1
        found = None
        if answer is not None and setting is not None and not self._is_known(answer):
            found = Found(place, setting, answer, told)
            self._found.append(found)
        self._tell(self._dealt_with, found)

    def _is_known(self, answer: Answer) -> bool:
        """Return whether a meter of that name was found already, at a place that says more."""
        return answer.name != "" and answer.name in {found.answer.name for found in self._found}

    def _pass_over(self, setting: Setting) -> None:
        """Count the places of a round as dealt with."""
        rounds = self._wanted.settings(self._line).index(setting) + 1
        self._dealt_with = rounds * len(self._places)
        self._tell(self._dealt_with, None)


def _tells_of(found: Found, place: Place) -> bool:
    """Return whether somebody found before has told who is at this place."""
    known = found.place
    if (known.link, known.physical) != (place.link, place.physical):
        return False
    if known.server == place.server:
        return True
    return bool(found.answer.logical_devices) and place.physical is not None


async def _listen(channel: Channel, line: str) -> None:
    """Wait whether somebody else talks.

    Raises:
        LineInUse: so it is.
    """
    heard = await channel.read(LISTEN_S)
    if heard:
        raise LineInUse(
            f"line {line}: {len(heard)} octets were heard that nobody here has asked for: another "
            "master reads this line, or meters push on it; nothing was sent"
        )


def _carrier(line: LineConfig, setting: Setting) -> Carrier:
    match line:
        case SerialLine():
            return SerialCarrier(line.model_copy(update={"baudrate": setting.baudrate}))
        case TcpLine():
            return TcpCarrier(line)
        case UdpLine():
            return UdpCarrier(line)
        case _:
            raise ConfigError(f"line {line.name} cannot be searched")
