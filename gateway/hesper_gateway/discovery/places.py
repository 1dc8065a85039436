"""Where on a line a meter may be: links, addresses, speeds; and how long asking all of them takes.

By HDLC (IEC 62056-46, 6.4.2) a meter has a logical and a physical address in one, two or four
octets, over the wrapper (IEC 62056-47) a port for each logical device. Nothing answers where no
meter is, so that each empty place costs one silence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hesper_gateway.config import LineConfig, SerialLine, TcpLine, UdpLine
from hesper_gateway.errors import ConfigError

Link = Literal["hdlc", "wrapper"]

SIGN_ON_S = 4.0
"""A sign-on by mode E: two short messages at 300 baud, the reaction times, two at the new speed."""
LISTEN_S = 1.5
"""How long a serial line is listened to before anything is said."""


@dataclass(frozen=True, slots=True)
class Place:
    """One address to ask."""

    link: Link
    server: int
    physical: int | None = None
    address_octets: Literal[1, 2, 4] | None = None
    """None: the shortest form that fits."""

    def __str__(self) -> str:
        if self.link == "wrapper":
            return f"wrapper port {self.server}"
        below = "" if self.physical is None else f", physical {self.physical}"
        octets = f" in {self.address_octets} octets" if self.address_octets else ""
        return f"HDLC logical {self.server}{below}{octets}"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a line is set while a round of places is asked."""

    baudrate: int | None = None
    """Of a serial line; None for any other."""
    mode_e_address: str | None = None
    """Signed on with, on a line of mode E."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be asked.

    Attributes:
        links: HDLC, wrapper or both; empty for what the line can carry.
        servers: Logical devices, or wrapper ports.
        physicals: Physical HDLC addresses; empty for the one-octet form alone.
        address_octets: Forms of HDLC addresses; None is the shortest that fits.
        speeds: Of a serial line, in baud; empty for the line's own.
        mode_e_addresses: Signed on with, on a line of mode E.
        silence_s: How long nobody has to answer until nobody is there.
    """

    links: tuple[Link, ...] = ()
    servers: Sequence[int] = (1,)
    physicals: Sequence[int] = range(16, 128)
    address_octets: tuple[Literal[1, 2, 4] | None, ...] = (None,)
    speeds: tuple[int, ...] = ()
    mode_e_addresses: tuple[str, ...] = ("",)
    silence_s: float = 0.5

    def places(self, line: LineConfig) -> list[Place]:
        """Return the places on a line, the likeliest link first.

        Raises:
            ConfigError: meters of such a line cannot be looked for.
        """
        return [place for link in self._links(line) for place in self._of(link)]

    def settings(self, line: LineConfig) -> list[Setting]:
        """Return how the line is set, in turn."""
        if not isinstance(line, SerialLine):
            return [Setting()]
        if line.mode_e:
            return [Setting(line.baudrate, address) for address in self.mode_e_addresses]
        return [Setting(speed) for speed in self.speeds or (line.baudrate,)]

    def estimate_s(self, line: LineConfig) -> float:
        """Return how long it takes if nobody answers."""
        each_s = self.silence_s * len(self.places(line))
        if isinstance(line, SerialLine):
            each_s += SIGN_ON_S if line.mode_e else LISTEN_S
        return each_s * len(self.settings(line))

    def _links(self, line: LineConfig) -> tuple[Link, ...]:
        match line:
            case SerialLine():
                able: tuple[Link, ...] = ("hdlc",)
            case UdpLine():
                able = ("wrapper",)
            case TcpLine():
                able = ("wrapper", "hdlc")
            case _:
                raise ConfigError(
                    f"line {line.name} is of kind {line.kind}: meters are looked for on lines of "
                    "kind tcp, udp and serial (one that calls or pushes says itself who it is)"
                )
        unable = [link for link in self.links if link not in able]
        if unable:
            raise ConfigError(f"line {line.name} is of kind {line.kind}: no {unable[0]} there")
        return self.links or able

    def _of(self, link: Link) -> Iterator[Place]:
        if link == "wrapper":
            yield from (Place("wrapper", server) for server in self.servers)
            return
        for octets in self.address_octets:
            if octets != 1:
                for physical in self.physicals:
                    for server in self.servers:
                        yield Place("hdlc", server, physical, octets)
        # Last, as every meter of a bus may feel addressed by a form that names none of them.
        if not {None, 1}.isdisjoint(self.address_octets):
            yield from (Place("hdlc", server) for server in self.servers)
