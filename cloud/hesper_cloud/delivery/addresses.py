"""Connections that leave the house, and only that.

Whoever may set up a target must not reach through it what is inside: this machine, its network, a
cloud's metadata service. So a name is resolved once, every address it has is looked at, and the
connection goes to one of just these addresses, not to what the name means a moment later. Networks
of our own are reached only where ``[delivery] reachable`` in cloud.toml names them.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.worded import worded

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF


def is_outside(address: Address) -> bool:
    """Says whether an address is of the public internet, whatever form it is written in."""
    inner = _inner(address)
    if inner is not None:
        return is_outside(inner)
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> IPv4Address | None:
    """Returns the IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_BITS)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def may_reach(address: Address, reachable: Networks, *, own_only: bool = False) -> bool:
    """Says whether a target may be at an address; ``own_only`` leaves the networks of our own."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if any((inner or address) in network for network in reachable):
        return True
    return not own_only and is_outside(address)


def found(host: str, port: int, reachable: Networks, *, own_only: bool = False) -> list[Address]:
    """Returns the addresses of a host.

    Raises:
        NotDelivered: it has none, or one that no target may be at.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(worded("{host} has no address", host=host)) from error
    addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
    if not all(may_reach(each, reachable, own_only=own_only) for each in addresses):
        what = "an address that is not of our own network" if own_only else "an internal address"
        raise NotDelivered(
            worded(
                "{host} has {what}; targets may be there only if [delivery] reachable names it",
                host=host,
                what=what,
            )
        )
    return list(dict.fromkeys(addresses))


def connected(
    host: str, port: int, timeout_s: float, reachable: Networks, *, own_only: bool = False
) -> socket.socket:
    """Returns a connection to one of the addresses of a host that were looked at.

    Raises:
        NotDelivered: it has none that may be reached, or none answers.
    """
    problem = "no answer"
    for address in found(host, port, reachable, own_only=own_only):
        try:
            return socket.create_connection((str(address), port), timeout_s)
        except OSError as error:
            problem = error.strerror or type(error).__name__
    raise NotDelivered(
        worded(
            "no connection to {host} port {port}: {problem}", host=host, port=port, problem=problem
        )
    )


@contextlib.contextmanager
def at_most(seconds: float, connection: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Ends a connection that takes longer in all, however lively the other side drips.

    It is asked for when the time is over: TLS may have taken its place meanwhile. What was read by
    then is no answer, even if it looks like one.

    Raises:
        NotDelivered: the time was over.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        found = connection()
        if found is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if over.is_set():  # also where the cut itself was felt as an error
            raise NotDelivered(worded("no whole answer within {seconds:g} s", seconds=seconds))
