"""Where the files of an import lie: one folder of the state folder for each, by its id."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hesper_contracts.durable import synchronise

_ID = re.compile(r"[0-9a-f]{32}")


class Folder:
    """The files of one import: as it came, its good rows, its bad ones."""

    def __init__(self, state: Path, import_id: str) -> None:
        if not _ID.fullmatch(import_id):
            raise ValueError("an import is named by 32 hexadecimal digits")
        self.path = root(state) / import_id

    @property
    def original(self) -> Path:
        """The file as it came."""
        return self.path / "original"

    @property
    def good(self) -> Path:
        """The rows that the dry run has nothing against: JSON, a row each line."""
        return self.path / "good.ndjson"

    @property
    def bad(self) -> Path:
        """The other rows, with their problems."""
        return self.path / "bad.ndjson"

    @property
    def changes(self) -> Path:
        """What good rows would change of assets that are there, in the same form."""
        return self.path / "changes.ndjson"

    def make(self) -> None:
        """Makes the folder; nobody but the service's account looks into it."""
        self.path.mkdir(mode=0o700, parents=True)

    def settle(self) -> None:
        """Makes sure that what was written outlives a power cut."""
        for each in (*self.path.iterdir(), self.path, self.path.parent):
            synchronise(each)

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.path, ignore_errors=True)


def root(state: Path) -> Path:
    """Returns the folder of all imports."""
    return state / "imports"


def ids(state: Path) -> Iterator[str]:
    """Yields the ids of the imports whose files are there."""
    for path in root(state).glob("*"):
        if _ID.fullmatch(path.name):
            yield path.name
