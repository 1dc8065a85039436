"""Targets beyond the DLMS stack: frames explained, and readings as third parties send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from hesper_contracts import columns, json_columns, readings_json
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Encoding, Refused
from hesper_contracts.json_columns import Opened
from hesper_gateway.errands.telling import tell
from hesper_gateway.explain import Explainer, to_json, to_lines
from hesper_gateway.lines.recording import Recorder
from hesper_gateway.sessions.insight import Insight

from hesper_lab.fuzz.inputs import hold, pieces
from hesper_lab.fuzz.meter import CLIENT_TITLE, METER_TITLE, PASSWORD, SECURITY

_AT: Final = datetime(2026, 9, 21, 14, tzinfo=UTC)
_KEYS: Final = (SECURITY.encryption_key, SECURITY.authentication_key)
_SECRETS: Final = frozenset(each for each in (PASSWORD, *_KEYS) if each)
_KNOWN: Final = Insight(SECURITY, CLIENT_TITLE, METER_TITLE, _SECRETS)
_PLAIN: Final = Insight(None, CLIENT_TITLE, None, _SECRETS)
_BULK: Final = b" " * (24 * 1024)
"""Blanks behind a batch, so that it is taken for one of many readings."""


def explained(octets: bytes) -> None:
    """Frames or an APDU, with keys and without: always told, as lines and as JSON."""
    for keys in (None, SECURITY):
        explainer = Explainer(keys, METER_TITLE)
        tree = explainer.explain(octets)
        json.dumps(to_json(tree))
        lines = to_lines(tree)
        again = to_lines(Explainer(keys, METER_TITLE).explain(octets))
        hold(lines == again, "the same octets are explained in two ways")


def conversation(octets: bytes) -> None:
    """What was said on a line, each behind an octet that is odd for us: told without a secret."""
    recorder = Recorder(lambda: _AT.timestamp(), 100, 4096)
    for piece in pieces(octets):
        (recorder.sent if piece[:1] and piece[0] & 1 else recorder.received)(piece[1:])
    for insight in (_KNOWN, _PLAIN):
        for said in tell(recorder, insight).utterances:
            shown = "\n".join((said.octets, *said.says)).lower()
            leaks = any(secret.hex() in shown for secret in insight.secrets)
            hold(not leaks, "a secret is shown")


def readings_as_json(octets: bytes) -> None:
    """A JSON batch: what is done for all readings at once says what is said one by one."""
    payload = octets + _BULK
    hold(_told(_opened, payload) == _told(_one_by_one, payload), "a batch is read in two ways")


def _opened(payload: bytes) -> Opened:
    return json_columns.open_(payload, _AT)


def _one_by_one(payload: bytes) -> Opened:
    batch, refused = readings_json.parse_each(payload)
    return Opened(batch.batch, json_columns.sections(batch, _AT), refused)


def _told(way: Callable[[bytes], Opened], payload: bytes) -> object:
    """Return what one way says of a batch: its readings in order, or why there are none."""
    try:
        found = way(payload)
    except Refused as refusal:
        return str(refusal)
    rows = [row for section in found.sections for row in _rows(section)]
    return found.batch, sorted(rows), found.refused


def _rows(section: SectionColumns) -> list[str]:
    """Return readings as text, their quantities in one order."""
    rows = []
    for row in range(len(section)):
        values = sorted(
            (quantity, None if nulls is not None and nulls[row] else int(column[row]))
            for quantity, column, nulls in zip(
                section.quantities, section.values, _nulls(section), strict=True
            )
        )
        meter = section.meters[section.meter_index[row]]
        numbers = (section.captured_at, section.clock_status, section.quality)
        told = [int(column[row]) for column in numbers]
        rows.append(repr((section.profile, section.received_at, meter, told, values)))
    return rows


def _nulls(section: SectionColumns) -> Sequence[Any]:
    return [None] * len(section.quantities) if section.nulls is None else list(section.nulls)


def readings_in_columns(octets: bytes) -> None:
    """A columnar batch behind one octet, odd if it is compressed: columns of equal length."""
    encoding = Encoding.COLUMNS_ZSTD if octets[:1] and octets[0] & 1 else Encoding.COLUMNS
    with suppress(Refused):
        for section in columns.decode(octets[1:], encoding):
            shape = (len(section.quantities), len(section))
            hold(section.values.shape == shape, "columns of different lengths")
            hold(section.nulls is None or section.nulls.shape == shape, "a mask of another shape")
            hold(
                len(section.clock_status) == len(section.quality) == shape[1], "a status is missing"
            )
            hold(int(section.meter_index.max()) < len(section.meters), "a row of no meter")


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "explain": explained,
    "conversation": conversation,
    "readings-json": readings_as_json,
    "readings-columns": readings_in_columns,
}
