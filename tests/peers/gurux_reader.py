"""A gurux_dlms client in a process of its own (GPL-2.0-only): reads all objects of a meter.

Argument: that of gurux_client, and counter.
Prints JSON: how many objects the association view names, what was read, what could not be.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from gurux_client import Peer


def read_all(peer: Peer) -> dict[str, Any]:
    objects = peer.objects()
    read: list[str] = []
    failed: list[list[str]] = []
    for each in objects:
        # A profile's capture objects before its buffer.
        for attribute in sorted(each.getAttributeIndexToRead(True), key=lambda a: (a == 2, a)):
            name = f"{int(each.objectType)}:{each.logicalName}:{attribute}"
            try:
                for message in peer.client.read(each, attribute):
                    reply = peer.answer(message)
                if reply.error:
                    failed.append([name, f"refused {reply.error}"])
                    continue
                peer.client.updateValue(each, attribute, reply.value)
                read.append(name)
            except Exception as error:  # noqa: BLE001 - whatever gurux raises is the finding
                failed.append([name, repr(error)])
    return {"objects": len(objects), "read": read, "failed": failed}


def main() -> None:
    peer = Peer(json.loads(sys.argv[1]))
    peer.associate()
    json.dump(read_all(peer), sys.stdout)


main()
