"""Firmware at the authority: campaigns become batches, and commands get their manifest when signed.

Theory of operation. People ask for an image by its SHA-256 and version. A campaign is a batch of
transfers; once its rows are verified at their meters, a second batch, with an approval of its own,
activates what was brought, for those meters alone. What is signed carries the manifest, which is
read here with the release keys that this process was told, whoever has put it on the shelf; octets
that are no longer those of the image, a date that is over, another version than the one that was
approved, or a meter that has not verified the image: then nothing is signed.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from hesper_contracts import firmware, jsonbody
from hesper_contracts.firmware import UpdateGateway
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import ANY, Manifest
from hesper_contracts.versions import at_least
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches.cases import terms_of
from hesper_cloud.authority.batches.proposing import propose
from hesper_cloud.authority.batches.tally import follow_commands
from hesper_cloud.authority.batches.wish import BatchWish
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.authority.dispatch import Making
from hesper_cloud.authority.kinds import ACTIVATE, TRANSFER, UPDATE
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.images import changelog
from hesper_cloud.images.filling import Kept, NotKept
from hesper_cloud.images.shelf import Shelf
from hesper_cloud.images.wish import ImageWish, wish_of
from hesper_cloud.worded import told_by, worded

_TYPES: dict[str, str] = {TRANSFER: "meter", ACTIVATE: "meter", UPDATE: "gateway"}


class FirmwareDesk:
    """Settles what is asked about images."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @property
    def handlers(self) -> Mapping[str, Callable[[Case], Outcome]]:
        """The requests that are settled here, by kind."""
        return {"firmware.campaign": self.begin, "firmware.activation": self.activate}

    @property
    def makings(self) -> Mapping[str, Making]:
        """What commands carry in the place of the wish, by kind."""
        return dict.fromkeys(_TYPES, self.parameters)

    def begin(self, case: Case) -> Outcome:
        """Freezes a campaign: an image for these meters, or for these gateways."""
        names = case.asked.payload.get("meters")
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise Denied("the request has no list of meters or gateways")
        wish = self._wish(case)
        kept = self._kept(wish, case.now)
        kind = UPDATE if kept.said.type == "gateway" else TRANSFER
        unfit = _unfit(case, kept.said, names)
        return self._propose(case, kind, wish, tuple(names), unfit)

    def activate(self, case: Case) -> Outcome:
        """Freezes the activation of a campaign's image at the meters that have verified it."""
        campaign = case.session.get(Batch, case.asked.text("campaign"))
        if campaign is None or campaign.kind != TRANSFER:
            raise Denied("there is no such campaign")
        brought = wish_of(campaign.parameters)
        asked = self._wish(case)
        if (asked.image, asked.version) != (brought.image, brought.version):
            raise Denied("the campaign has brought another image")
        self._kept(asked, _begins_at(asked, case.now))
        follow_commands(case.session, case.now, case.give_way)
        verified = select(BatchRow.meter).where(
            BatchRow.batch == campaign.id, BatchRow.state == "confirmed"
        )
        meters = tuple(case.session.scalars(verified.order_by(BatchRow.position)))
        if not meters:
            raise Denied("no meter of this campaign has verified the image")
        return self._propose(case, ACTIVATE, asked, meters, {})

    def parameters(self, session: Session, command: CommandRecord, now: datetime) -> dict[str, Any]:
        """Returns what is signed in the place of the wish.

        Raises:
            Denied: the image, or what is known of it at the meter, does not allow it.
        """
        wish = wish_of(command.parameters)
        kept = self._kept(wish, now)
        if kept.said.type != _TYPES[command.kind]:
            raise Denied(worded("the image is for a {value}", value=kept.said.type))
        if command.kind == ACTIVATE and not _is_verified(session, command, wish):
            raise Denied("the meter has not verified this image for any transfer of ours")
        typed: firmware.AboutImage
        match command.kind:
            case "firmware.transfer":
                typed = firmware.transfer_of(kept.document)
            case "firmware.activate":
                typed = firmware.activation_of(kept.document, wish.at)
            case _:
                typed = UpdateGateway(manifest=kept.document)
        return dict(json.loads(jsonbody.encode(typed)))

    def _propose(
        self,
        case: Case,
        kind: str,
        wish: ImageWish,
        names: tuple[str, ...],
        unfit: Mapping[str, str],
    ) -> Outcome:
        batch = propose(
            case,
            BatchWish(
                kind=kind,
                meters=names,
                reason=case.asked.text("reason"),
                parameters=json.loads(jsonbody.encode(wish)),
                terms=terms_of(case.asked),
                unfit=unfit,
            ),
        )
        news = changelog.told(self._shelf.changelog(wish.image))
        case.note("image.shown", f"image {wish.image}", "", news, f"batch {batch.id}")
        return {"batch": batch.id, "digest": batch.digest}

    def _wish(self, case: Case) -> ImageWish:
        try:
            return wish_of(case.asked.mapping("wish"))
        except Refused as refusal:
            raise Denied(worded("that names no image: {refusal}", refusal=refusal)) from None

    def _kept(self, wish: ImageWish, now: datetime) -> Kept:
        """Returns an image that may be brought now, whole and as it was signed."""
        try:
            kept = self._shelf.find(wish.image)
            kept.said.check_time(now)
            is_intact = self._shelf.is_intact(wish.image)
        except (NotKept, Refused) as refusal:
            raise Denied(told_by(refusal)) from None
        if not is_intact:
            raise Denied(worded("image {image} is not what it was when it came", image=wish.image))
        if kept.said.version != wish.version:
            raise Denied(
                worded(
                    "the image is {version!r}, not {version_2!r}",
                    version=kept.said.version,
                    version_2=wish.version,
                )
            )
        return kept


def _begins_at(wish: ImageWish, now: datetime) -> datetime:
    """Returns when an activation begins.

    Raises:
        Denied: its own window is closed by then, so that it never would.
    """
    if wish.at is None or wish.at <= now:
        return now
    if wish.window is not None and wish.window.open_until(wish.at) is None:
        raise Denied("at the time of the activation its window is closed")
    return wish.at


def _is_verified(session: Session, activation: CommandRecord, wish: ImageWish) -> bool:
    """Says whether the newest transfer that ended well at this meter is that of the image."""
    query = (
        select(CommandRecord.parameters)
        .where(
            CommandRecord.meter == activation.meter,
            CommandRecord.gateway == activation.gateway,
            CommandRecord.kind == TRANSFER,
            CommandRecord.state == "confirmed",
        )
        .order_by(CommandRecord.updated_at.desc())
        .limit(1)
    )
    newest = session.scalars(query).first()
    return newest is not None and newest.get("image") == wish.image


def _unfit(case: Case, said: Manifest, names: list[str]) -> dict[str, str]:
    """Returns the meters or gateways that the registry says need not be asked, with the cause.

    Whoever can write the registry can only leave some out; the rest is asked by its gateway.
    """
    table, known = (Gateway, Gateway.version) if said.type == "gateway" else (Meter, Meter.firmware)
    unfit: dict[str, str] = {}
    with reading(case.registry) as session:
        for some in batched(names):
            case.give_way()
            query = select(table.id, known).where(table.id.in_(some))
            for name, version in session.execute(query):
                if cause := _cause(said, version):
                    unfit[name] = cause
            if said.type == "meter" and said.hardware != ANY:
                others = select(Meter.id, Meter.model).where(
                    Meter.id.in_(some), Meter.model.is_not(None), Meter.model != said.hardware
                )
                for name, model in session.execute(others):
                    unfit[name] = worded("other hardware: {model}", model=model)
    return unfit


def _cause(said: Manifest, version: str | None) -> str | None:
    if version == said.version:
        return worded("runs {version} already", version=version)
    if version and at_least(said.version, version) is False:
        return worded("runs a later one: {version}", version=version)
    if version and said.minimum_version and at_least(version, said.minimum_version) is False:
        return worded("below the minimum: {version}", version=version)
    return None
