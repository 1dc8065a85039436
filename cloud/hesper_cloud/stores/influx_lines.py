r"""Readings as line protocol, built as bytes.

::

    readings,clock_status=0,meter=HES1,profile=1.0.99.1.0.255 1.0.1.8.0.255=10i,…,layout=…i,
        quality=0i,received_at=…i,stored_at_ms=…i,commit=…i 1790000100

Tags are the identity, the timestamp (seconds) is ``captured_at``; equal points overwrite each
other. Fields are integers named by logical name (a name that a row has twice gets ``#2``), and
``layout`` names the list of quantities, kept once in the measurement ``layouts``. Revisions have a
further tag, the digest of their content, so that writing one again changes nothing. Batch ids are
points whose time in nanoseconds is the sequence.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

from hesper_contracts.batch import BatchId

from hesper_cloud.stores.port import Quantity
from hesper_cloud.stores.rows import Rows, Stamp

READINGS, REVISIONS, LAYOUTS, BATCHES = "readings", "revisions", "layouts", "batches"
INTENTS, COMMITS, EPOCHS = "intents", "commits", "epochs"
_ESCAPED = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})


def tag(text: str) -> str:
    """Returns a tag value without what line protocol cannot carry; `untagged` undoes it."""
    return text.replace("%", "%25").replace("\\", "%5C")


def untagged(text: str) -> str:
    """Returns the text that `tag` was given."""
    return text.replace("%5C", "\\").replace("%25", "%")


def fields_of(quantities: Sequence[Quantity]) -> list[str]:
    """Returns the field names of a layout, in its order."""
    names: list[str] = []
    for quantity in quantities:
        seen = sum(name.split("#")[0] == quantity.logical_name for name in names)
        names.append(f"{quantity.logical_name}#{seen + 1}" if seen else quantity.logical_name)
    return names


def layout_text(quantities: Sequence[Quantity]) -> str:
    """Returns a layout as the text that is stored."""
    return json.dumps(quantities, separators=(",", ":"))


def layout_id(quantities: Sequence[Quantity]) -> int:
    """Returns the name of a layout: 48 bits of its digest, the same for every writer."""
    return int.from_bytes(hashlib.sha256(layout_text(quantities).encode()).digest()[:6], "big")


def layout_line(quantities: Sequence[Quantity]) -> str:
    """Returns the line that stores a layout, at time 0."""
    text = layout_text(quantities).replace("\\", "\\\\").replace('"', '\\"')
    return f'{LAYOUTS},layout={layout_id(quantities)} quantities="{text}" 0'


def batch_lines(batches: Mapping[BatchId, str], stored_at: int) -> str:
    """Returns the lines that store batch ids, with nanosecond times."""
    return "\n".join(
        f'{BATCHES},epoch={batch.epoch},gateway={batch.gateway} digest="{digest}",'
        f"stored_at={stored_at}i {batch.sequence}"
        for batch, digest in batches.items()
    )


def reading_lines(rows: Rows, meters: Sequence[str], stamp: Stamp) -> Iterator[str]:
    """Yields one line per row.

    Args:
        rows: What to write.
        meters: Meter names by the keys that the rows use.
        stamp: When it is stored, and by which commit.
    """
    series = _series(rows, meters)
    names = fields_of(rows.quantities)
    tail = (
        f"layout={layout_id(rows.quantities)}i,stored_at_ms={stamp.stored_at_ms}i,"
        f"commit={stamp.commit_number}i"
    )
    columns = zip(rows.quality.tolist(), rows.received_at.tolist(), strict=True)
    times = rows.captured_at.tolist()
    if rows.missing is None:
        every = "".join(f"{name}=%di," for name in names)
        template = f"%s {every}{tail},quality=%di,received_at=%di %d"
        values = zip(*rows.values.tolist(), strict=True) if names else repeat((), len(times))
        for key, row, (quality, received), at in zip(series, values, columns, times, strict=True):
            yield template % (key, *row, quality, received, at)
        return
    present = zip(*rows.values.tolist(), strict=True), zip(*rows.missing.tolist(), strict=True)
    for key, row, absent, (quality, received), at in zip(
        series, *present, columns, times, strict=True
    ):
        found = "".join(
            f"{name}={value}i,"
            for name, value, gone in zip(names, row, absent, strict=True)
            if not gone
        )
        yield f"{key} {found}{tail},quality={quality}i,received_at={received}i {at}"


def _series(rows: Rows, meters: Sequence[str]) -> Iterator[str]:
    known: dict[tuple[int, int], str] = {}
    for key in zip(rows.meter.tolist(), rows.clock_status.tolist(), strict=True):
        text = known.get(key)
        if text is None:
            meter = tag(meters[key[0]]).translate(_ESCAPED)
            text = f"{READINGS},clock_status={key[1]},meter={meter},profile={rows.profile}"
            known[key] = text
        yield text


def as_revision(line: str) -> str:
    """Returns a reading's line as one of its revisions, tagged with the digest of its values."""
    series, fields, at = _parts(line)
    content = ",".join(
        field
        for field in fields.split(",")
        if not field.startswith(("quality=", "received_at=", "stored_at_ms=", "commit="))
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"{REVISIONS}{series.removeprefix(READINGS)},revision={digest} {fields} {at}"


def flag_line(line: str, quality: int) -> str:
    """Returns the line that changes nothing of a stored reading but its quality."""
    series, _, at = _parts(line)
    return f"{series} quality={quality}i {at}"


def _parts(line: str) -> tuple[str, str, str]:
    series_and_fields, at = line.rsplit(" ", 1)
    series, fields = series_and_fields.rsplit(" ", 1)  # fields are integers: no blank in them
    return series, fields, at
