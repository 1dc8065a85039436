"""What is new in an image: kept beside it, shown as it came, and audited; campaigns in waves."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hesper_cloud.app import create_app
from hesper_cloud.authority.firmware import FirmwareDesk
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.images import changelog
from hesper_cloud.images.filling import NotKept
from hesper_cloud.images.shelf import shelf_of
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import jsonbody
from sqlalchemy import select

NEWS = "1.5.0\n\t- the clock is right again\n- <script>alert(1)</script> ☂"
METERS = [f"HES{number:08}" for number in range(6)]


def test_it_is_kept_with_the_image_and_may_be_mended(release: Any) -> None:
    shelf = release.kept()
    assert shelf.changelog(release.image_hash) == ""
    octets = b"\xef\xbb\xbf" + NEWS.replace("\n", "  \r\n").encode() + b"\r\n\r\n"
    assert shelf.describe(release.image_hash, octets) == NEWS
    assert release.shelf().changelog(release.image_hash) == NEWS
    shelf.describe(release.image_hash, b"mended")
    assert shelf.changelog(release.image_hash) == "mended"
    assert [each.said for each in shelf.all()] == [release.said()]
    assert len(shelf.signers(shelf.find(release.image_hash))) == 2


def test_spaces_that_break_no_line_are_spaces() -> None:
    told = "Uhr geht\u00a0richtig, 10\u202f% weniger\u2028danach\x0bmehr"
    assert changelog.read(told.encode()) == "Uhr geht richtig, 10 % weniger\ndanach\nmehr"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"x" * 16_385, "up to 16384 octets"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"rings \x07", "control characters"),
        ("turned \u202e round".encode(), "control characters"),
    ],
)
def test_what_is_no_changelog(release: Any, octets: bytes, words: str) -> None:
    shelf = release.kept()
    with pytest.raises(NotKept, match=words):
        shelf.describe(release.image_hash, octets)
    with pytest.raises(NotKept, match="there is no image"):
        shelf.describe("ab" * 32, b"news")


@pytest.fixture
async def client(head_end: Any, release: Any, deciding: None) -> AsyncIterator[httpx.AsyncClient]:
    """A head end that trusts the two who release."""
    given = {"release_keys": release.release_keys, "left_free_mb": 0}
    firmware = head_end.settings.firmware.model_copy(update=given)
    settings = head_end.settings.model_copy(update={"firmware": firmware})
    head_end.authority.release(FirmwareDesk(shelf_of(settings)))
    papers = [MeterPaper(id=one, gateway="gw-1", logical_device_name=f"HSP{one}") for one in METERS]
    commission(head_end.databases, papers)
    store = DuckDbStore(settings.readings_file)
    authority = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(settings, registry, authority, store, LatestValues(), head_end.clock)
    transport = httpx.ASGITransport(create_app(assemble(sources, lambda: 0.0), settings))
    base = "http://hesper.test/api/v1"
    async with httpx.AsyncClient(transport=transport, base_url=base) as opened:
        yield opened
    store.close()
    authority.dispose()


async def bearer(client: httpx.AsyncClient, who: str, password: str) -> dict[str, str]:
    body = {"username": who, "password": password}
    token = (await client.post("/auth/login", json=body)).json()["token"]
    return {"Authorization": f"Bearer {token}"}


async def test_from_the_upload_to_a_campaign_in_waves(
    client: httpx.AsyncClient, head_end: Any, release: Any
) -> None:
    ann = await bearer(client, "ann", "asking-politely-1")
    vic = await bearer(client, "vic", "viewing-only-1")
    image = f"/firmware/images/{release.image_hash}"
    news = {"content": NEWS.encode()}
    early = await client.put(f"{image}/changelog", **news, headers=ann)
    assert (early.status_code, "there is no image" in early.text) == (400, True)
    document = jsonbody.encode(release.document())
    await client.post("/firmware/images", content=document, headers=ann)
    assert (await client.put(f"{image}/changelog", **news, headers=vic)).status_code == 403
    told = (await client.put(f"{image}/changelog", **news, headers=ann)).json()
    assert told["changelog"] == NEWS
    await client.put(image, content=release.octets, headers=ann)
    (kept,) = (await client.get("/firmware/images", headers=vic)).json()
    assert (kept["changelog"], len(kept["signed_by"]), kept["is_whole"]) == (NEWS, 2, True)

    wish = {"image": release.image_hash, "version": "HSP-FW 1.5.0", "reason": "release 1.5"}
    asked = {**wish, "names": METERS}
    made = await client.post("/campaigns", json=asked, headers=ann | {"Idempotency-Key": "a"})
    batch = made.json()["batch"]
    assert (batch["waves"], batch["canary"], batch["soak_s"]) == ([1, 2, 6], 1, 3_600)
    nothing = {"finished": 0, "confirmed": 0, "failed": 0}
    assert made.json()["waves"] == [{"rows": rows, **nothing} for rows in (1, 1, 4)]
    both = {**asked, "canary": 1, "waves": [1]}
    refused = await client.post("/campaigns", json=both, headers=ann | {"Idempotency-Key": "b"})
    assert refused.status_code == 409
    of_before = {**asked, "canary": 2}
    made = await client.post("/campaigns", json=of_before, headers=ann | {"Idempotency-Key": "c"})
    assert (made.json()["batch"]["waves"], made.json()["batch"]["canary"]) == (None, 2)

    digest = hashlib.sha256(NEWS.encode()).hexdigest()
    query = select(AuditRow).where(AuditRow.subject == f"image {release.image_hash}")
    with reading(head_end.databases.authority) as session:
        rows = {row.action: row for row in session.scalars(query.order_by(AuditRow.sequence))}
    written, shown = rows["image.changelog"], rows["image.shown"]
    assert (written.actor, written.before, digest in (written.after or "")) == ("ann", "none", True)
    assert (digest in (shown.after or ""), shown.why) == (
        True,
        f"batch {made.json()['batch']['id']}",
    )


async def test_a_refusal_has_a_code_its_reason_and_what_it_names(
    client: httpx.AsyncClient, release: Any
) -> None:
    ann = await bearer(client, "ann", "asking-politely-1")
    image = f"/firmware/images/{release.image_hash}"
    told = (await client.put(f"{image}/changelog", content=b"x", headers=ann)).json()
    assert (told["code"], told["reason"]) == ("invalid", "there-is-no-image")
    assert told["values"] == {"image_hash": release.image_hash}
    assert told["detail"] == f"there is no image {release.image_hash}"
    wish = {"image": "ab" * 32, "version": "1", "reason": "release 1.5", "names": METERS}
    key = {"Idempotency-Key": "a"}
    told = (await client.post("/campaigns", json=wish, headers=ann | key)).json()
    assert (told["code"], told["reason"]) == ("refused", "there-is-no-image"), "of the authority"
    assert (await client.get("/campaigns")).json()["code"] == "not-authenticated"
    assert (await client.post("/campaigns", json={}, headers=ann)).json()["code"] == (
        "unprocessable-entity"
    )
