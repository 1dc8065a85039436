"""Images are kept under their SHA-256, once two people have signed what they are."""

from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.images.filling import NotKept
from hesper_contracts import jsonbody
from hesper_contracts.signing import Signer


def test_an_image_is_kept_as_it_was_signed(release: Any) -> None:
    shelf = release.kept()
    found = shelf.find(release.image_hash)
    assert (found.said, found.is_whole) == (release.said(), True)
    assert shelf.read(release.image_hash, 99_990, 100) == release.octets[-10:]
    assert shelf.is_intact(release.image_hash)
    assert [each.said.version for each in shelf.all()] == ["HSP-FW 1.5.0"]


def test_before_its_octets_have_come_it_is_announced_and_no_more(release: Any) -> None:
    shelf = release.shelf()
    shelf.announce(release.document(), release.NOW)
    assert [each.is_whole for each in shelf.all()] == [False]
    with pytest.raises(NotKept):
        shelf.is_intact(release.image_hash)


def test_one_signature_is_not_enough(release: Any) -> None:
    with pytest.raises(NotKept, match="needs 2 release keys"):
        release.shelf().announce(release.document(release.people[0]), release.NOW)


def test_a_stranger_does_not_count(release: Any) -> None:
    document = release.document(release.people[0], Signer.generate())
    with pytest.raises(NotKept, match="needs 2 release keys"):
        release.shelf().announce(document, release.NOW)
    assert release.shelf().all() == []


def test_out_of_date_it_is_refused(release: Any) -> None:
    document = release.document(not_after=release.NOW - timedelta(seconds=1))
    with pytest.raises(NotKept, match="good for nothing after"):
        release.shelf().announce(document, release.NOW)


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda octets: octets[:-1], "octets have come"),
        (lambda octets: octets + b"x", "more octets"),
        (lambda octets: bytes((octets[0] ^ 1,)) + octets[1:], "another SHA-256"),
    ],
)
def test_other_octets_are_thrown_away(release: Any, alter: Any, reason: str) -> None:
    shelf = release.shelf()
    shelf.announce(release.document(), release.NOW)
    with pytest.raises(NotKept, match=reason):
        release.fill(shelf, alter(release.octets))
    assert not shelf.find(release.image_hash).is_whole
    assert [path.suffix for path in shelf.folder.iterdir()] == [".manifest"]


def test_what_a_cut_left_is_swept_away(release: Any) -> None:
    shelf = release.shelf()
    shelf.announce(release.document(), release.NOW)
    left = shelf.folder / f"{release.image_hash}.0badcafe.part"
    left.write_bytes(b"half")
    release.fill(shelf)
    assert not left.exists()


def test_octets_without_a_manifest_have_no_place(release: Any) -> None:
    with pytest.raises(NotKept, match="there is no image"):
        release.shelf().filling(release.image_hash)


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "AB" * 32, "ab" * 32 + "\n"])
def test_an_image_has_no_other_name_than_its_hash(release: Any, name: str) -> None:
    with pytest.raises(NotKept, match="SHA-256"):
        release.shelf().find(name)


def test_room_is_left_for_readings(release: Any) -> None:
    with pytest.raises(NotKept, match="must stay so"):
        release.shelf(left_free_octets=2**62).announce(release.document(), release.NOW)


def test_octets_that_changed_on_disk_are_noticed(release: Any) -> None:
    shelf = release.kept()
    assert shelf.is_intact(release.image_hash)
    with shelf.path_of(release.image_hash).open("r+b") as file:
        file.write(b"swapped")
    assert not shelf.is_intact(release.image_hash)


def test_a_manifest_that_was_swapped_on_disk_does_not_hold(release: Any) -> None:
    shelf = release.kept()
    path = shelf.folder / f"{release.image_hash}.manifest"
    path.write_bytes(jsonbody.encode(release.document(release.people[0], version="HSP-FW 9")))
    with pytest.raises(NotKept, match="does not hold"):
        shelf.find(release.image_hash)
    assert shelf.all() == []
