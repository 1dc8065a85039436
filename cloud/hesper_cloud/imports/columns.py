"""The columns of each kind of file, in order, and the template of each."""

from dataclasses import dataclass
from typing import Literal, get_args

from hesper_cloud.imports import fields
from hesper_cloud.imports.fields import Read

ImportKind = Literal["customers", "meters", "simcards", "simuse"]
KINDS: tuple[ImportKind, ...] = get_args(ImportKind)
Existing = Literal["refuse", "update"]
"""What becomes of a row whose asset is there already."""
ALWAYS_UPDATES: frozenset[ImportKind] = frozenset({"simuse"})
"""Kinds whose rows are of assets that are there, and of no others."""
REASON = "reason"
"""The column that rejected rows come back with; in a file that is brought it does not count."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, and how its cells are read."""

    title: str
    read: Read
    required: bool = False
    unique: bool = False  # no two rows of a file have the same
    whole_lines: bool = False  # line breaks inside are kept apart


CUSTOMERS = (
    Column("customerName", fields.text(200), required=True),
    Column("accountNumber", fields.key(64), required=True, unique=True),
    Column("address", fields.text(500), whole_lines=True),
    Column("phoneNumber", fields.phone),
    Column("email", fields.email),
    Column("area", fields.text(64)),
    Column("meterAssigned", fields.meter, unique=True),
    Column("customerType", fields.text(64)),
    Column("tariffPlan", fields.text(64)),
    Column("connectionDate", fields.on_date),
)
METERS = (
    Column("meterNumber", fields.meter, required=True, unique=True),
    Column("concentratorId", fields.gateway),
    Column("meterType", fields.text(64)),
    Column("brand", fields.text(64)),
    Column("model", fields.text(64)),
    Column("firmware", fields.key(64)),
    Column("ipAddress", fields.ip_address),
    Column("port", fields.port),
    Column("area", fields.text(64)),
    Column("customer", fields.key(64)),
    Column("simCard", fields.key(64), unique=True),
)
SIMCARDS = (
    Column("simNumber", fields.key(64), unique=True),
    Column("iccid", fields.iccid, required=True, unique=True),
    Column("imsi", fields.imsi, unique=True),
    Column("msisdn", fields.msisdn, unique=True),
    Column("provider", fields.text(64)),
    Column("status", fields.choice("stock", "active", "suspended", "retired")),
    Column("ipAddress", fields.ip_address),
    Column("apn", fields.apn),
    Column("dataLimit", fields.megabytes),
    Column("activationDate", fields.on_date),
)
SIMUSE = (
    Column("iccid", fields.iccid, required=True, unique=True),
    Column("dataUsed", fields.megabytes, required=True),
)
COLUMNS: dict[ImportKind, tuple[Column, ...]] = {
    "customers": CUSTOMERS,
    "meters": METERS,
    "simcards": SIMCARDS,
    "simuse": SIMUSE,
}


def titles(kind: ImportKind) -> list[str]:
    """Returns the titles of a kind's columns, in order."""
    return [column.title for column in COLUMNS[kind]]


def template(kind: ImportKind) -> bytes:
    """Returns an empty file of a kind: its header, with a mark by which spreadsheets see UTF-8."""
    return ("\ufeff" + ",".join(titles(kind)) + "\r\n").encode()
