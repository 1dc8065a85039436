"""Whose address it is: of IPv6 every line is given a network of addresses, and may use them all."""

from ipaddress import IPv6Network, ip_address

_OF_A_LINE = 64  # bits that stay the same (RFC 6177; RFC 4291, 2.5.4)


def caller(address: str) -> str:
    """Returns by what name the tries of an address are counted: itself, of IPv6 its network.

    What is no address names itself, as the word for an unknown one does.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    beyond = 128 - _OF_A_LINE
    return str(IPv6Network((int(found) >> beyond << beyond, _OF_A_LINE)))
