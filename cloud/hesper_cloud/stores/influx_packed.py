r"""A meter's day as one point: its curves packed into texts, beside its readings.

::

    packed,meter=HES1,profile=1.0.99.1.0.255 captured_at="[7,1789948800,900,95]",
        quality="[7,0,0,95]",1.0.1.8.0.255="[7,10,3,4,…]",layout=…i,made=7i 1789948800

InfluxQL takes more than a microsecond for each point that it gives, whatever it holds, so a year of
quarter hours costs it 60 ms; 365 of these cost it 3. Each text is a list in JSON: the number of the
packing, the first value, and how much each is more than the one before; null where there is none.
Capture times and quality say how often each difference follows. The server shows the fields of a
point one by one as it takes them: a day counts only where all its texts have the number in
``made``. A day is made void by 0 there, and by a number in ``void`` that its packing has to exceed:
so one that the server takes late, when nobody waits for it any longer, does not count either.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from operator import sub
from typing import Any, NamedTuple

import msgspec

from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import PACKED, escaped_tag, fields_of, untagged
from hesper_cloud.stores.influx_reads import in_order
from hesper_cloud.stores.influx_server import Table
from hesper_cloud.stores.port import Quantity

DAY_S = 86_400
FIELDS = "captured_at, quality, layout, made, void"
ROWS_AT_LEAST = 12
"""With fewer rows a day is as quickly read as it is."""

_LONGEST_TEXT = 60_000  # InfluxDB takes 64 KiB
_LARGEST = 2**62  # beyond, a difference may not fit into 64 bits
_texts = msgspec.json.Decoder(list[list[int | None]])


class Curve(NamedTuple):
    """One quantity of a meter: columns of equal length, with the layout of each row."""

    times: list[int]
    values: list[int | None]
    quality: list[int]
    layouts: list[int]


NO_ROWS = Curve([], [], [], [])


def void_line(meter: str, profile: str, day: int, number: int) -> bytes:
    """Returns the line, for a time in seconds, that makes a day void up to a packing's number."""
    return f"{_series(meter, profile)} made=0i,void={number}i {day * DAY_S}".encode()


def holds(made: int | None, void: int | None) -> bool:
    """Says whether a day of this packing was not made void."""
    return made is not None and made > (void or 0)


def day_line(tables: Sequence[Table], layouts: Layouts, day: int, made: int) -> bytes | None:
    """Returns a meter's day as a line; None where it is better read as it is.

    Args:
        tables: Its readings, a table for each clock status.
        layouts: What the readings refer to.
        day: Counted from 1970-01-01.
        made: Number of the packing, not 0.
    """
    rows = in_order(tables)
    columns = dict(zip(tables[0].columns, zip(*rows, strict=True), strict=False))
    used = set(columns.get("layout", ()))
    if len(rows) < ROWS_AT_LEAST or len(used) != 1:
        return None
    (layout,) = used
    packed = {
        "captured_at": _runs(made, columns["time"]),
        "quality": _runs(made, columns["quality"]),
    }
    nothing = [None] * len(rows)
    for name in fields_of(layouts.quantities(layout)):
        packed[name] = _differences(made, columns.get(name, nothing))
    if not all(0 < len(text) <= _LONGEST_TEXT for text in packed.values()):
        return None
    fields = ",".join(f'{name}="{text}"' for name, text in packed.items())
    series = _series(untagged(tables[0].tags["meter"]), tables[0].tags["profile"])
    return f"{series} {fields},layout={layout}i,made={made}i {day * DAY_S}".encode()


def _series(meter: str, profile: str) -> str:
    return f"{PACKED},meter={escaped_tag(meter)},profile={profile}"


def _differences(made: int, values: Sequence[int | None]) -> str:
    """Returns values as a text, which is empty where they are too large."""
    there = [value for value in values if value is not None]
    if there and not -_LARGEST < min(there) <= max(there) < _LARGEST:
        return ""
    differences = list(map(sub, there, [0, *there]))
    if len(there) == len(values):
        return msgspec.json.encode([made, *differences]).decode()
    following = iter(differences)
    listed = (None if value is None else next(following) for value in values)
    return msgspec.json.encode([made, *listed]).decode()


def _runs(made: int, values: Sequence[int]) -> str:
    """Returns values as a text of few differences, each with how often it follows."""
    listed = [made, values[0]]
    for step, alike in groupby(map(sub, values[1:], values)):
        listed += (step, len(list(alike)))
    return msgspec.json.encode(listed).decode()


def curves(table: Table, sources: dict[int, Quantity]) -> Iterator[tuple[int, Curve]]:
    """Yields the days of a curve that are packed and hold.

    Args:
        table: Rows of the quantity's field and `FIELDS`, in this order, after the time.
        sources: The layouts that have the quantity; a day of another one has no row of it.
    """
    rows = [row[:-1] for row in table.rows if holds(*row[-2:]) and None not in row[2:-1]]
    having = [row for row in rows if row[-2] in sources and row[1] is not None]
    yield from ((row[0] // DAY_S, NO_ROWS) for row in rows if row[-2] not in sources)
    texts = ",".join(text for row in having for text in row[1:4])
    listed = iter(_texts.decode(f"[{texts}]"))
    for row, values, times, quality in zip(having, listed, listed, listed, strict=True):
        if values[0] == times[0] == quality[0] == row[-1]:
            layouts = [row[-2]] * (len(values) - 1)
            yield row[0] // DAY_S, Curve(_run(times), _summed(values), _run(quality), layouts)


def _summed(listed: list[int | None]) -> list[Any]:
    """Returns the values that were packed as differences, without the number before them."""
    del listed[0]
    if None not in listed:
        return list(accumulate(listed))
    values: list[int | None] = []
    before = 0
    for difference in listed:
        before += difference or 0
        values.append(None if difference is None else before)
    return values


def _run(listed: list[Any]) -> list[int]:
    """Returns the values that were packed as runs, without the number before them."""
    _, last, *runs = listed
    values = [last]
    for step, count in zip(runs[::2], runs[1::2], strict=True):
        end = last + step * count
        values += range(last + step, end + step, step) if step else [last] * count
        last = end
    return values
