"""Map tiles of an operator: both kinds of file, rows from the north, and what is no raster."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hesper_ui.tiles import NoTiles, opened
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

PNG = b"\x89PNG\r\n\x1a\n of this test"


def mbtiles(path: Path, kind: str = "png") -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        database.execute(
            "CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)"
        )
        about = [("format", kind), ("attribution", "<b>me</b>")]
        database.executemany("INSERT INTO metadata VALUES (?, ?)", about)
        database.execute("INSERT INTO tiles VALUES (2, 1, 3, ?)", (PNG,))
    return path


def pmtiles(path: Path, kind: TileType = TileType.PNG) -> Path:
    with path.open("wb") as file:
        writer = Writer(file)
        writer.write_tile(zxy_to_tileid(2, 1, 0), PNG)
        header = {
            "tile_type": kind,
            "tile_compression": Compression.NONE,
            "min_zoom": 2,
            "max_zoom": 2,
            "min_lon_e7": 0,
            "min_lat_e7": 0,
            "max_lon_e7": 10_000_000,
            "max_lat_e7": 10_000_000,
            "center_zoom": 2,
            "center_lon_e7": 0,
            "center_lat_e7": 0,
        }
        writer.finalize(header, {"attribution": "<b>me</b>"})
    return path


@pytest.mark.parametrize(("make", "name"), [(mbtiles, "a.mbtiles"), (pmtiles, "a.pmtiles")])
async def test_a_tile_is_found_by_its_row_from_the_north(tmp_path, make, name):
    tiles = opened(make(tmp_path / name))
    assert tiles.coverage.content_type == "image/png"
    assert tiles.coverage.most_zoom == 2
    assert tiles.coverage.attribution == "<b>me</b>"
    assert await tiles.tile(2, 1, 0) == PNG
    assert await tiles.tile(2, 3, 3) is None


def test_vector_tiles_and_other_files_are_refused_with_a_word(tmp_path):
    vectors = [
        mbtiles(tmp_path / "v.mbtiles", "pbf"),
        pmtiles(tmp_path / "v.pmtiles", TileType.MVT),
    ]
    for path in vectors:
        with pytest.raises(NoTiles, match="bring PNG, JPEG or WebP"):
            opened(path)
    (tmp_path / "x.mbtiles").write_bytes(b"nothing of the sort")
    for name in ("x.mbtiles", "missing.pmtiles", "map.zip"):
        with pytest.raises(NoTiles):
            opened(tmp_path / name)
