"""`hesper-cloud image`: from two people's keys to an image that is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.cli import app
from typer.testing import CliRunner


class Desk:
    """A folder in which two people release an image; commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "fw.bin").write_bytes(b"firmware" * 1000)

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(app, ["image", *words], catch_exceptions=False)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def released(self, *people: str) -> None:
        """Describe the image, and have these people sign it."""
        keys = [self.run("keygen", self.path(f"{who}.key")).output for who in ("ann", "ben")]
        described = ["describe", self.path("fw.bin"), "-o", self.path("fw.manifest")]
        described += ["--version", "HSP-FW 1.5.0", "--not-after", "2100-01-01"]
        assert self.run(*described).exit_code == 0
        for who in people:
            signed = self.run("sign", self.path("fw.manifest"), "--key", self.path(f"{who}.key"))
            assert signed.exit_code == 0
        (self.folder / "cloud.toml").write_text(
            'state = "state"\n[firmware]\nleft_free_mb = 0\n[firmware.release_keys]\n'
            + "".join(keys)
        )

    def add(self, *more: str) -> Any:
        names = self.path("fw.bin"), self.path("fw.manifest")
        return self.run("add", *names, "-c", self.path("cloud.toml"), *more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_two_have_signed_is_kept_and_found_intact(desk: Desk) -> None:
    desk.released("ann", "ben")
    (desk.folder / "news.txt").write_text("- the clock is right again\n")
    assert desk.add("--changelog", desk.path("news.txt")).exit_code == 0
    told = json.loads(desk.run("list", "-c", desk.path("cloud.toml")).output)
    assert (told["version"], told["is_whole"]) == ("HSP-FW 1.5.0", True)
    assert (told["changelog"], len(told["signed_by"])) == ("- the clock is right again", 2)
    verified = desk.run("verify", "-c", desk.path("cloud.toml"))
    assert (verified.exit_code, verified.output.split()[1]) == (0, "intact")
    (image,) = (desk.folder / "state" / "images").glob("*.image")
    image.write_bytes(b"swapped")
    verified = desk.run("verify", "-c", desk.path("cloud.toml"))
    assert (verified.exit_code, verified.output.split()[1]) == (1, "ALTERED")


def test_what_one_has_signed_twice_is_not(desk: Desk) -> None:
    desk.released("ann", "ann")
    added = desk.add()
    assert added.exit_code == 1
    assert "needs 2 release keys" in added.stderr


def test_a_manifest_is_not_signed_beside_another_image(desk: Desk) -> None:
    desk.released("ann")
    (desk.folder / "other.bin").write_bytes(b"other")
    words = ["sign", desk.path("fw.manifest"), "--key", desk.path("ben.key")]
    assert desk.run(*words, "--image", desk.path("other.bin")).exit_code == 1


def test_a_key_is_never_replaced(desk: Desk) -> None:
    desk.released()
    assert desk.run("keygen", desk.path("ann.key")).exit_code == 1
