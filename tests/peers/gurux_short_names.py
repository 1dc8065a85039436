"""A gurux_dlms client with short names in a process of its own (GPL-2.0-only): prints JSON.

Argument: those of gurux_client; none and lls alone.
"""

from __future__ import annotations

import json
import sys

from gurux_client import Peer
from gurux_dlms.enums import DataType
from gurux_dlms.objects import GXDLMSData, GXDLMSDisconnectControl, GXDLMSRegister


def main() -> None:
    options = json.loads(sys.argv[1])
    peer = Peer(options, logical_names=False)
    peer.associate()
    objects = {f"{int(each.objectType)}:{each.logicalName}": each for each in peer.objects()}
    energy, name, relay, long = (
        objects[each]
        for each in (
            "3:1.0.1.8.0.255",
            "1:0.0.42.0.0.255",
            "70:0.0.96.3.10.255",
            "1:0.0.96.50.0.255",
        )
    )
    assert isinstance(energy, GXDLMSRegister)
    assert isinstance(relay, GXDLMSDisconnectControl)
    assert isinstance(name, GXDLMSData)
    found = {
        "names": {each: int(item.shortName) for each, item in objects.items()},
        "energy": peer.read(energy, 2),
        "long": peer.read(long, 2),
    }
    if options.get("write"):
        name.value = bytes.fromhex(options["write"])
        name.setDataType(2, DataType.OCTET_STRING)
        peer.send_all(peer.client.write(name, 2))
        peer.send_all(peer.client.method(relay, 1, 0, DataType.INT8))
    peer.disconnect()
    json.dump(found, sys.stdout)


main()
