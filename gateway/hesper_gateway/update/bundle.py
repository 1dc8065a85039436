"""An image for gateways: a zip archive of wheels (PEP 427), unpacked side by side into a slot.

The octets are those that two people have signed by then, so this guards against mistakes and full
disks, not against an enemy; still nothing is written outside of the slot. Scripts and data files of
wheels are left out: the launcher starts the package, not a script.
"""

import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LEFT_FREE_OCTETS = 16 * 1024 * 1024
"""What a version leaves of the disk to outbox and journal."""
_WHEELS_MAX = 100
_FILES_MAX = 50_000
_OCTETS_MAX = 512 * 1024 * 1024
_LIBRARIES = ("purelib", "platlib")
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    RuntimeError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
)
"""What `zipfile` raises for archives that were put together wrongly."""


class BundleUnusable(Exception):
    """The archive is no bundle of this version, or does not fit; the text says why."""


def unpack(archive: Path, folder: Path, version: str) -> None:
    """Unpack a bundle into an empty folder; durable on return.

    Raises:
        BundleUnusable: it is not a bundle of wheels with hesper of this version.
        OSError: the disk does not take it.
    """
    wheel = folder / "wheel.part"
    try:
        with zipfile.ZipFile(archive) as bundle:
            names = [name for name in bundle.namelist() if name.endswith(".whl")]
            if not 0 < len(names) <= _WHEELS_MAX:
                raise BundleUnusable(f"a bundle has 1 to {_WHEELS_MAX} wheels, not {len(names)}")
            for name in names:
                _check_room(folder, bundle.getinfo(name).file_size)
                with bundle.open(name) as source, wheel.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                _unpack_wheel(wheel, folder)
        wheel.unlink()
    except _BROKEN as error:
        raise BundleUnusable(f"it is not a bundle of wheels: {error}") from None
    there = (folder / f"hesper-{version}.dist-info", folder / "hesper_gateway")
    if not all(each.is_dir() for each in there):  # else the installation would go by its name
        raise BundleUnusable(f"hesper {version} is not in it")
    os.sync()


def _unpack_wheel(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > _FILES_MAX or total > _OCTETS_MAX:
            raise BundleUnusable("a wheel in it is far too large")
        _check_room(folder, total)
        for member, place in _placed(members):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy)


def _placed(members: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Yield the files that are imported, each with its place below the slot."""
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise BundleUnusable(f"a wheel in it names {member.filename!r}")
        if member.is_dir() or not path.parts:
            continue
        if path.parts[0].endswith(".data"):
            if len(path.parts) < 3 or path.parts[1] not in _LIBRARIES:
                continue
            path = PurePosixPath(*path.parts[2:])
        yield member, path


def _check_room(folder: Path, octets: int) -> None:
    if shutil.disk_usage(folder).free < octets + LEFT_FREE_OCTETS:
        raise BundleUnusable("the disk is too full for another version")
