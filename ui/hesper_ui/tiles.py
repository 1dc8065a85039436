"""Map tiles that an operator supplies: raster tiles from one MBTiles or PMTiles file.

MBTiles is an SQLite database whose rows count from the south; PMTiles is one file with a directory
inside (version 3). Only raster tiles are drawn (PNG, JPEG, WebP): vector tiles would need a
renderer of megabytes in every browser, so they are refused with a word about it.
"""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pmtiles.reader import MmapSource, Reader
from pmtiles.tile import Compression, TileType

_MBTILES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
_MOST_SAID = 200
_PMTILES = {
    TileType.PNG: "image/png",
    TileType.JPEG: "image/jpeg",
    TileType.WEBP: "image/webp",
}


class NoTiles(Exception):
    """The file holds no raster tiles; the words say what it is and what to do."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a file of tiles holds."""

    content_type: str
    least_zoom: int
    most_zoom: int
    attribution: str


class Tiles(Protocol):
    """One file of tiles."""

    coverage: Coverage

    async def tile(self, zoom: int, column: int, row: int) -> bytes | None: ...


class MbTiles:
    """An MBTiles file (specification 1.3)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._opened()) as database:
            about = dict(database.execute("SELECT name, value FROM metadata"))
            zooms = database.execute(
                "SELECT min(zoom_level), max(zoom_level) FROM tiles"
            ).fetchone()
        kind = str(about.get("format", "")).lower()
        if kind not in _MBTILES or zooms[0] is None:
            raise NoTiles(f"{path} holds {kind or 'unknown'} tiles; bring PNG, JPEG or WebP")
        said = str(about.get("attribution", ""))[:_MOST_SAID]
        self.coverage = Coverage(_MBTILES[kind], int(zooms[0]), int(zooms[1]), said)

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)

    async def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """Returns one tile, rows counted from the north; None where there is none."""
        return await asyncio.to_thread(self._tile, zoom, column, (1 << zoom) - 1 - row)

    def _tile(self, zoom: int, column: int, row: int) -> bytes | None:
        wanted = "SELECT tile_data FROM tiles WHERE zoom_level=? AND tile_column=? AND tile_row=?"
        with closing(self._opened()) as database:
            found = database.execute(wanted, (zoom, column, row)).fetchone()
        return None if found is None else bytes(found[0])


class PmTiles:
    """A PMTiles file (specification 3)."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:  # the mapping outlives it
            self._reader = Reader(MmapSource(file))
        header = self._reader.header()
        kind = header["tile_type"]
        if kind not in _PMTILES or header["tile_compression"] != Compression.NONE:
            raise NoTiles(f"{path} holds {kind.name} tiles; bring PNG, JPEG or WebP")
        about = self._reader.metadata()
        said = str(about.get("attribution", ""))[:_MOST_SAID] if isinstance(about, dict) else ""
        self.coverage = Coverage(_PMTILES[kind], header["min_zoom"], header["max_zoom"], said)

    async def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """Returns one tile, rows counted from the north; None where there is none."""
        found = await asyncio.to_thread(self._reader.get, zoom, column, row)
        return None if found is None else bytes(found)


def opened(path: Path) -> Tiles:
    """Opens a file of tiles by its name.

    Raises:
        NoTiles: it is neither, or holds no raster tiles.
    """
    kinds: dict[str, type[MbTiles | PmTiles]] = {".mbtiles": MbTiles, ".pmtiles": PmTiles}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise NoTiles(f"{path} is neither .mbtiles nor .pmtiles")
    try:
        return kind(path)
    except (OSError, sqlite3.Error, ValueError, KeyError, AssertionError) as error:
        raise NoTiles(f"{path} cannot be read as tiles: {error}") from error
