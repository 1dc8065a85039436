"""The interoperation table: what the tests recorded, with the reason of everything that is not ok.

The tests of `tests/interop` run foreign implementations and keep what each service came to in
`docs/interoperation.json` (`pytest tests/interop --record-interoperation`); this module renders it
into `docs/interoperation.md`. A refusal without a reason in `REASONS` is not rendered but refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

DOCS: Final = Path(__file__).parents[2] / "docs"
RECORD: Final = DOCS / "interoperation.json"
PAGE: Final = DOCS / "interoperation.md"
BEGIN: Final = "<!-- table -->"
END: Final = "<!-- end of table -->"
_SERVICES: Final = (
    "associate",
    "get",
    "get-block",
    "get-with-list",
    "get-with-list-block",
    "selective-access",
    "set",
    "set-block",
    "action",
    "release",
)
_HEADS: Final = ("peer", "as", "referencing", "authentication", "link")


class Reason(NamedTuple):
    """Why an outcome that begins with `outcome` is not ok, for a peer in a role."""

    peer: str
    role: str
    service: str
    outcome: str
    why: str


class Unexplained(Exception):
    """An outcome is not ok and nobody has said why."""


_READS_ALONE: Final = "the reading client of the simulator may not switch, and is told so"
REASONS: Final = (
    Reason("gurux", "client of hesper-sim", "action", "Exception: refused", _READS_ALONE),
    Reason("jdlms", "client of hesper-sim", "action", "Exception: another value", _READS_ALONE),
    Reason(
        "jdlms",
        "client",
        "get-block",
        "Exception: another value came: OTHER_REASON",
        "with short names it proposes no block transfer, so a long value cannot be given",
    ),
    Reason(
        "jdlms",
        "client",
        "set-block",
        "IOException: Receiving fragments",
        "its client does not take the acknowledgement of a block",
    ),
    Reason(
        "jdlms",
        "client",
        "associate",
        "DecryptionException",
        "it names suite 1 where it ciphers with 256 bits (suite 2), and knows no suite 1",
    ),
    Reason(
        "jdlms",
        "server",
        "associate",
        "no answer",
        "it names suite 1 where it ciphers with 256 bits (suite 2), and knows no suite 1",
    ),
    Reason(
        "jdlms",
        "server",
        "get-block",
        "no answer",
        "its HDLC server falls over a ciphered answer in segments (BufferUnderflowException)",
    ),
    Reason(
        "jdlms",
        "server",
        "set-block",
        "no answer",
        "its HDLC server acknowledges one segment too few, for ever",
    ),
    Reason(
        "gurux",
        "server",
        "get-with-list-block",
        "DecodeError",
        "its server sends the block under the tag of an answer without blocks (C4 03)",
    ),
    Reason(
        "gurux",
        "server",
        "selective-access",
        "Wrong",
        "its server gives the row behind the last one asked for too",
    ),
    Reason(
        "gurux",
        "server",
        "set-block",
        "DecodeError",
        "its server leaves three octets behind the acknowledgement, and the last one has no number",
    ),
)


def load(path: Path = RECORD) -> list[dict[str, Any]]:
    """Return the recorded sessions in their order."""
    sessions: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return list(sessions.values())


def table(sessions: list[dict[str, Any]]) -> str:
    """Return the table and its notes in Markdown; sessions that came to the same share a row.

    Raises:
        Unexplained: An outcome is not ok and has no reason.
    """
    notes: list[str] = []
    services = [name for name in _SERVICES if any(name in each["services"] for each in sessions)]
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for session in sessions:
        who = session["peer"], session["as"], session.get("referencing", "logical names")
        cells = [_cell(session, name, notes) for name in services]
        alike.setdefault((*who, session["link"], *cells), []).append(session)
    links: dict[tuple[str, ...], list[str]] = {}
    for (peer, role, names, link, *cells), found in alike.items():
        links.setdefault((peer, role, names, _authentications(found), *cells), []).append(link)
    lines = [_row([*_HEADS, *services]), _row(["---"] * (len(_HEADS) + len(services)))]
    for (peer, role, names, how, *cells), over in links.items():
        lines.append(_row([peer, role, names, how, ", ".join(over), *cells]))
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([*lines, "", *numbered])


def _authentications(sessions: list[dict[str, Any]]) -> str:
    """Name the authentications, each with its suites where there is another than 0."""
    suites: dict[str, list[str]] = {}
    for session in sessions:
        number = session["suite"].removeprefix("suite ")
        suites.setdefault(session["authentication"], []).append(number)
    return ", ".join(
        name if found == ["0"] else f"{name} ({'/'.join(found)})" for name, found in suites.items()
    )


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(session: dict[str, Any], service: str, notes: list[str]) -> str:
    outcome = session["services"].get(service)
    if outcome is None:
        return ""
    if outcome == "ok":
        return "ok"
    why = f"{session['peer']} as {session['as']}: {_why(session, service, outcome)}"
    if why not in notes:
        notes.append(why)
    return f"no ({notes.index(why) + 1})"


def _why(session: dict[str, Any], service: str, outcome: str) -> str:
    for reason in REASONS:
        named = reason.peer, reason.role, reason.service
        if named == (session["peer"], session["as"], service) and outcome.startswith(
            reason.outcome
        ):
            return reason.why
    raise Unexplained(f"{session['peer']} as {session['as']}, {service}: {outcome}")


def rendered(page: str, record: list[dict[str, Any]]) -> str:
    """Return the page with the table of the record in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(record)}\n{END}{after}"


def write() -> None:
    """Render the record into the page."""
    PAGE.write_text(rendered(PAGE.read_text(), load()))
