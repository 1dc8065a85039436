"""Files of keys are there as a whole, for their owner alone, or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hesper_contracts import durable
from hesper_contracts.signing import Signer

Write = Callable[[Path], None]
NEW: list[Write] = [lambda path: durable.write_new(path, b"new"), Signer.generate().save]
ALL: list[Write] = [*NEW, lambda path: durable.put(path, b"new")]


@pytest.mark.parametrize("write", ALL)
def test_a_file_is_its_owners_alone_and_nothing_else_is_left(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "file")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("write", NEW)
def test_one_that_is_there_is_never_replaced(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("write", ALL)
def test_a_full_disk_leaves_no_part_of_a_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="full"):
            write(tmp_path / "file")
    assert not (tmp_path / "file").exists()
    write(tmp_path / "file")


@pytest.mark.parametrize("write", ALL)
def test_the_name_is_synchronised_after_it_was_given(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    fsync, folder = os.fsync, tmp_path.stat()

    def noted(descriptor: int) -> None:
        found = os.fstat(descriptor)
        seen.append((os.path.samestat(found, folder), (tmp_path / "file").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write(tmp_path / "file")
    assert seen == [(False, False), (True, True)]
