"""A firmware image to a simulated meter in another process: what a block costs the gateway.

The same errand as by command, from an image that lies on the gateway's disk to one that the meter
has verified: over TCP in octets for each second of the gateway's own CPU time (the meter syncs each
block to its disk, which a wall clock would measure), and over HDLC by the octets that passed on the
line, as they would take at 9600 baud with ten bits each, reaction times left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from hesper_contracts.blocks import BLOCK_OCTETS
from hesper_contracts.firmware import TransferFirmware
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, SerialLine, TcpLine
from hesper_gateway.counters import Counters
from hesper_gateway.database import Database
from hesper_gateway.firmware import Downloads, ImageStore, Limits, Means, TransferRecords
from hesper_gateway.firmware.images import Wanted
from hesper_gateway.firmware.order import Order
from hesper_gateway.firmware.transfer import Transfer
from hesper_gateway.lines.channel import Carrier
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.metered import MeteredCarrier
from hesper_gateway.lines.serial_port import SerialCarrier
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_sim import fleet
from hesper_sim.objects import image_transfer

from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import serving

VERSION: Final = "HSP-FW 1.5.0"
_BAUD, _BITS_PER_OCTET = 9600, 10
_FLEET: Final = fleet.FleetSettings(tcp=1, shared=0, dial_in=0, rs485=1, push=False, replay_s=10)


def run(octets: int) -> list[Row]:
    """Bring an image of so many octets over both kinds of line."""
    found = {}
    with tempfile.TemporaryDirectory() as name, serving(_FLEET, Path(name)) as ready:
        for meter in fleet.plan(_FLEET).meters:
            is_serial = meter.physical_address is not None
            found[is_serial] = asyncio.run(_brought(octets, meter, ready, Path(name)))
    cpu_s, _ = found[False]
    _, on_line = found[True]
    return [
        row("gateway.image.tcp", octets / cpu_s, "octets/s"),
        row("gateway.image.serial_9600", octets * _BAUD / _BITS_PER_OCTET / on_line, "octets/s"),
    ]


async def _brought(
    octets: int, meter: fleet.MeterPlan, ready: dict[str, Any], folder: Path
) -> tuple[float, int]:
    """Return the CPU time of a transfer, and the octets on the line both ways."""
    database = Database(folder / f"{meter.serial}.db", 0)
    ledger = Ledger(database, time.time)
    line = Line("bench", MeteredCarrier(_carrier(meter, ready), ledger))
    try:
        transfer = _transfer(octets, _session(meter, line, database), database, folder)
        begun_s = time.process_time()
        report = await transfer.run()
        spent_s = time.process_time() - begun_s
    finally:
        await line.aclose()
        database.close()
    if not report.done:
        raise ValueError(f"the image was not brought: {report.detail}")
    used = ledger.of(meter.serial)
    return spent_s, used.octets_sent + used.octets_received


def _carrier(meter: fleet.MeterPlan, ready: dict[str, Any]) -> Carrier:
    if meter.physical_address is not None:
        return SerialCarrier(SerialLine(name="bench", kind="serial", path=ready["serial"]))
    host, _, port = ready["listeners"][meter.line].rpartition(":")
    return TcpCarrier(TcpLine(name="bench", kind="tcp", host=host, port=int(port)))


def _session(meter: fleet.MeterPlan, line: Line, database: Database) -> MeterSession:
    template = "hesper-sim" if meter.physical_address is None else "hesper-sim-hdlc"
    config = MeterConfig(
        id=meter.serial,
        line="bench",
        template=template,
        logical_device_name=meter.logical_device_name,
        server_address=meter.server_address,
        physical_address=meter.physical_address,
    )
    keys = MeterKeys(meter.encryption_key, meter.authentication_key)
    common = Common(Counters(database), client_system_title("gw-bench"), time.time)
    return MeterSession(config, templates.load(template), keys, line, common)


def _transfer(octets: int, session: MeterSession, database: Database, folder: Path) -> Transfer:
    image = image_transfer.build(VERSION, octets)
    wanted = Wanted(hashlib.sha256(image).hexdigest(), len(image))
    store = ImageStore(folder / f"{session.meter.id}-images", 4 * octets)
    for number in range(store.begin(wanted), wanted.block_count):
        store.append(wanted, image[number * BLOCK_OCTETS : (number + 1) * BLOCK_OCTETS])
    store.finish(wanted)
    downloads = Downloads("gw-bench", store, Limits(BLOCK_OCTETS, 1), lambda _code, _text: None)
    means = Means(downloads, TransferRecords(database), lambda: datetime.now(UTC))
    not_after = datetime.now(UTC) + timedelta(days=1)
    asked = TransferFirmware(identifier=VERSION, size=len(image), not_after=not_after)
    name = session.meter.logical_device_name
    return Transfer(means, Order(session, name, wanted.image_hash, asked, lambda: None))
