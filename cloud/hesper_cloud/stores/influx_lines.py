r"""Readings as line protocol, built as bytes.

::

    readings,clock_status=0,meter=HES1,profile=1.0.99.1.0.255 1.0.1.8.0.255=10i,…,layout=…i,
        quality=0i,received_at=…i,stored_at_ms=…i,commit=…i 1790000100

Tags are the identity, the timestamp (seconds) is ``captured_at``; equal points overwrite each
other. Fields are integers named by logical name (a name that a row has twice gets ``#2``), and
``layout`` names the list of quantities, kept once in the measurement ``layouts``. Revisions have a
further tag, made from their content, so that writing one again changes nothing. Batch ids are
points whose time in nanoseconds is the sequence. The lines of a write are joined column by column,
so that their octets lie together: line by line costs Python more than twice as much.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hesper_contracts.batch import BatchId

from hesper_cloud.stores.port import Flags, Integers, Quantity
from hesper_cloud.stores.rows import Rows, Stamp

READINGS, REVISIONS, LAYOUTS, BATCHES = "readings", "revisions", "layouts", "batches"
INTENTS, COMMITS, EPOCHS, SUMS = "intents", "commits", "epochs", "sums"
PACKED, DAYS = "packed", "days"
_ESCAPED = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_STATUS_BITS, _STATUS = 8, 0xFF


def tag(text: str) -> str:
    """Returns a tag value without what line protocol cannot carry; `untagged` undoes it."""
    return text.replace("%", "%25").replace("\\", "%5C")


def escaped_tag(text: str) -> str:
    """Returns a tag value as it stands in a line."""
    return text if text.isalnum() else tag(text).translate(_ESCAPED)


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


def layout_line(profile: str, quantities: Sequence[Quantity]) -> str:
    """Returns the line that stores a layout of a profile, at time 0."""
    text = layout_text(quantities).replace("\\", "\\\\").replace('"', '\\"')
    return f'{LAYOUTS},layout={layout_id(quantities)},profile={profile} quantities="{text}" 0'


def batch_lines(batches: Mapping[BatchId, str], stored_at: int) -> str:
    """Returns the lines that store batch ids, with nanosecond times."""
    return "\n".join(
        f'{BATCHES},epoch={batch.epoch},gateway={batch.gateway} digest="{digest}",'
        f"stored_at={stored_at}i {batch.sequence}"
        for batch, digest in batches.items()
    )


def reading_lines(rows: Rows, meters: Sequence[str], stamp: Stamp) -> pa.StringArray:
    """Returns one line per row, its line feed included.

    Args:
        rows: What to write.
        meters: Meter names by the keys that the rows use.
        stamp: When it is stored, and by which commit.
    """
    pieces: list[pa.Array | str] = [_series(rows, meters), " "]
    for place, name in enumerate(fields_of(rows.quantities)):
        absent = None if rows.missing is None else rows.missing[place]
        pieces += _field(name, rows.values[place], absent)
    shared = f"layout={layout_id(rows.quantities)}i,stored_at_ms={stamp.stored_at_ms}i"
    pieces += [
        f"{shared},commit={stamp.commit_number}i,quality=",
        _repeated(rows.quality),
        "i,received_at=",
        _repeated(rows.received_at),
        "i ",
        _texts(rows.captured_at),
        "\n",
    ]
    return _joined(_fewer(pieces))


def _fewer(pieces: Sequence[pa.Array | str]) -> list[pa.Array | str]:
    """Returns pieces with neighbours that are the same in every row as one."""
    fewer: list[pa.Array | str] = []
    for piece in pieces:
        before = fewer[-1] if fewer else None
        if isinstance(piece, str) and isinstance(before, str):
            fewer[-1] = before + piece
        else:
            fewer.append(piece)
    return fewer


def octets_of(lines: pa.StringArray) -> bytes:
    """Returns lines, as `reading_lines` made them, as the octets of one write."""
    if not len(lines):
        return b""
    _, ends, octets = lines.buffers()
    return bytes(octets[: np.frombuffer(ends, np.int32)[len(lines)]])


def _field(name: str, values: Integers, absent: Flags | None) -> list[pa.Array | str]:
    """Returns a field's pieces: one that is null in some rows must be left out whole."""
    if absent is None:
        return [f"{name}=", _texts(values), "i,"]
    return [_joined([f"{name}=", _texts(values, absent), "i,"], nulls="emit_null")]


def _texts(values: Integers, absent: Flags | None = None) -> pa.StringArray:
    return pa.array(values, mask=absent).cast(pa.string())


def _repeated(values: Integers) -> pa.Array | str:
    """Returns integers as texts; as one where all are alike."""
    if len(values) and (values == values[0]).all():
        return str(values[0])
    return _texts(values)


def _joined(pieces: Sequence[pa.Array | str], nulls: str = "skip") -> pa.StringArray:
    return pc.binary_join_element_wise(*pieces, "", null_handling=nulls)


def _series(rows: Rows, meters: Sequence[str]) -> pa.StringArray:
    """Returns measurement and tags; rows of a meter, as they mostly do, follow each other."""
    keys = rows.meter.astype(np.int64) << _STATUS_BITS | rows.clock_status
    begins = np.ones(len(keys), dtype=bool)
    begins[1:] = keys[1:] != keys[:-1]
    texts = [
        f"{READINGS},clock_status={key & _STATUS},"
        f"meter={escaped_tag(meters[key >> _STATUS_BITS])},profile={rows.profile}"
        for key in keys[begins].tolist()
    ]
    return pa.array(texts, pa.string()).take(pa.array(np.cumsum(begins) - 1))


def as_revision(line: str, revision: str) -> str:
    """Returns a reading's line as one of its revisions, by its tag."""
    series, fields, at = _parts(line)
    return f"{REVISIONS}{series.removeprefix(READINGS)},revision={revision} {fields} {at}"


def flag_line(line: str, quality: int) -> str:
    """Returns the line that changes nothing of a stored reading but its quality."""
    series, _, at = _parts(line)
    return f"{series} quality={quality}i {at}"


def _parts(line: str) -> tuple[str, str, str]:
    series_and_fields, at = line.rstrip("\n").rsplit(" ", 1)
    series, fields = series_and_fields.rsplit(" ", 1)  # fields are integers: no blank in them
    return series, fields, at
