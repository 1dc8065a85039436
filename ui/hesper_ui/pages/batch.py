"""One batch: its hash, who is left out and why, how far each row has come, what may be decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlencode

from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, panel, table
from hesper_ui.pages.batch_head import Head
from hesper_ui.pages.batches import bar
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import Actor, BatchRowView, BatchView, Exclusion, Invalid, Page
from hesper_ui.views import batches, firmware
from hesper_ui.views.wording import MISSING, capital, grouped, retold, sentence
from hesper_ui.words import say

PER_PAGE = 100
COLUMNS = Columns(
    ("No.", "Meter", "Gateway", "State", "What was found", "Tries", "Changed"),
    numbers=frozenset({0, 5}),
    wide_only=frozenset({5}),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one look brings: the batch, and a page of its rows."""

    batch: BatchView
    rows: Page[BatchRowView]


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one batch; the state of the rows shown is in the address."""
    batch_id = args.path_parameters["batch"]
    state = args.query_parameters.get("state", "")
    offset = args.query_parameters.get("offset", "0")
    if (state and state not in batches.ROWS) or not offset.isdecimal() or len(offset) > 8:
        raise Invalid("There is no such filter.")
    host = box("div", "contents")
    left_out = await desk.services.batches.excluded(actor, batch_id)

    async def load(asking: Actor) -> Shown:
        service = desk.services.batches
        found = await service.get(asking, batch_id)
        rows = await service.rows(asking, batch_id, state or None, int(offset), PER_PAGE)
        return Shown(found, rows)

    head = Head(desk, actor, host)

    def draw(shown: Shown) -> None:
        head.draw(shown.batch, part.refresh)
        progress(actor, shown.batch)
        with box("div", "grid-main listed"):
            with box("div", "stack"):
                _rows(shown, state)
            with box("div", "stack"):
                terms(shown.batch)
                excluded(shown.batch, left_out)

    part = Part(desk, load, draw)
    await part.show()
    watch("commands", part.refresh)
    look_every(3.0, part.refresh)


def progress(actor: Actor, batch: BatchView) -> None:
    """Draws how far a batch has come, and what is in its way."""
    if batch.state == "awaiting_approval" and batch.requester == actor.username:
        states.notice("info", say("Another person must approve what you asked for."))
    if batch.state in {"stopped", "tampered", "quarantined"} and batch.detail:
        tone = "warning" if batch.state == "quarantined" else "critical"
        states.notice(batches.state(batch).mark, sentence(batch.detail), tone)
    with panel("Progress") as tools:
        with tools:
            Text(
                say("CSV of all rows"), "a", "btn small", href=f"/console/batches/{batch.id}.csv"
            ).props("download")
        bar(batch)
        with box("div", "legend"):
            for share in batches.shares(batch):
                with box("span", "marked"):
                    box("span", f"swatch part-{share.state}", aria_hidden="true")
                    Text(grouped(share.count), "strong")
                    Text(say(batches.ROWS[share.state].word), classes="meta")


def terms(batch: BatchView) -> None:
    """Draws the terms under which it leaves, and the hash of the list."""
    told = [
        *_waves(batch),
        (say("At once"), grouped(batch.wave_size)),
        (say("Rate"), say("{count} an hour", count=grouped(batch.per_hour))),
        (say("Stops by itself"), say("above {percent} % failed", percent=batch.stop_percent)),
        (say("Approved by"), batch.approver or MISSING),
    ]
    with panel("Terms"), box("dl", "facts"):
        for name, text in told:
            Text(name, "dt")
            Text(text, "dd")
        Text(say("Hash"), "dt")
        Text(batch.digest, "dd", "hash")


def _waves(batch: BatchView) -> list[tuple[str, str]]:
    if not batch.waves:
        return [(say("Canary"), say("{count} go first", count=grouped(batch.canary)))]
    rows = [end - begin for begin, end in pairwise([0, *batch.waves])]
    return [
        (say("Waves"), " · ".join(grouped(count) for count in rows)),
        (say("Between waves"), firmware.between(batch)),
    ]


def excluded(batch: BatchView, left_out: Sequence[Exclusion]) -> None:
    """Draws how many meters were left out of the list, by cause."""
    with panel("Excluded", grouped(batches.excluded(batch))):
        if not left_out:
            states.empty("Nobody is left out", "Every meter of the list takes part.")
            return
        with box("dl", "facts"):
            for each in left_out:
                Text(capital(retold(each.cause)), "dt")
                Text(grouped(each.count), "dd")


def _rows(shown: Shown, state: str) -> None:
    page = shown.rows
    with panel("Rows", say("{count} of this state", count=grouped(page.total)) if state else ""):
        with box("nav", "chips", aria_label=say("Filters")):
            _chip(shown.batch, "", "all", state)
            for name, count in sorted(shown.batch.counts.items()):
                _chip(shown.batch, name, f"{say(batches.ROWS[name].word)} {grouped(count)}", state)
        if page.rows:
            table("Rows", COLUMNS, [_cells(row) for row in page.rows])
        else:
            states.empty("No row here", "Choose another state.")
        with box("nav", "chips", aria_label=say("Pages")):
            if page.offset:
                _turn(shown.batch, "Earlier", max(0, page.offset - PER_PAGE), state)
            if page.offset + len(page.rows) < page.total:
                _turn(shown.batch, "Later", page.offset + PER_PAGE, state)


def _chip(batch: BatchView, name: str, words: str, current: str) -> None:
    target = f"/batches/{batch.id}" + (f"?state={name}" if name else "")
    here = "true" if name == current else None
    Text(capital(say(words)), "a", "chip", href=target, aria_current=here)


def _turn(batch: BatchView, words: str, offset: int, state: str) -> None:
    asked = {"offset": str(offset)} | ({"state": state} if state else {})
    Text(say(words), "a", "chip", href=f"/batches/{batch.id}?{urlencode(asked)}")


def _cells(row: BatchRowView) -> list[Cell]:
    def meter() -> None:
        if row.meter:
            link(row.meter, f"/meters/{row.meter}")
        else:
            Text(row.gateway or MISSING)

    found = row.excluded or row.detail or ""
    return [
        str(row.position + 1),
        meter,
        row.gateway or MISSING,
        lambda: marked(*batches.row_state(row)),
        capital(retold(found)),
        str(row.tries),
        lambda: ago(row.updated_at),
    ]


PLACES = [Place("/batches/{batch}", "Batch", build)]
