"""Keys on their way to a gateway that enrols: what is kept of its configuration holds none.

Keys live in one place (`custody`). When an operator keeps a configuration, keys of meters are taken
out of it into custody; when a device enrols, its meters' keys files are made from there, with both
sets where a change is open. The answer is sealed to the device. A keys file that several meters
share stays in the configuration as it is, and no change of keys is possible for those.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable

from hesper_contracts.enrolment import CONFIGURATION, Configuration, File
from sqlalchemy.orm import Session

from hesper_cloud.meter_keys import key_set
from hesper_cloud.meter_keys.custody import Custody, NoKeys, Origin
from hesper_cloud.meter_keys.key_set import BadKeys

_EMPTY = b"{}\n"


def take_out(
    session: Session, custody: Custody, found: Configuration, origin: Origin
) -> Configuration:
    """Puts meters' keys into custody; returns the configuration without them.

    An empty keys file stands for what is in custody.

    Raises:
        NoKeys: a keys file is none, or has other keys than a command has brought since.
    """
    meters = _keys_files(found)
    for file in found.files:
        meter = meters.get(file.name)
        if meter is None or not file.octets.strip().strip(b"{}").strip():
            continue
        try:
            keys = key_set.from_keys_file(file.octets)
        except BadKeys as error:
            raise NoKeys(f"{file.name}: {error}") from None
        if custody.was_changed(session, meter) and custody.current(session, meter) != keys:
            raise NoKeys(
                f"{file.name}: the keys of {meter} were changed by command since; put {{}} into it"
            )
        custody.put(session, meter, keys, origin)
    return _with(found, dict.fromkeys(meters, _EMPTY))


def put_in(session: Session, custody: Custody, kept: Configuration) -> Configuration:
    """Returns the configuration with the keys that are in custody.

    Raises:
        VaultBroken: they do not open.
    """
    given = {}
    for name, meter in _keys_files(kept).items():
        current = custody.current(session, meter)
        if current is not None:
            pending = custody.pending(session, meter)
            given[name] = key_set.to_keys_file(current, pending)
    return _with(kept, given)


def _keys_files(found: Configuration) -> dict[str, str]:
    """Returns the meter of each keys file that is one meter's alone."""
    text = next(file.octets for file in found.files if file.name == CONFIGURATION)
    named = list(_named(tomllib.loads(text.decode("utf-8"))))
    shared = Counter(name for name, _ in named)
    return {name: meter for name, meter in named if shared[name] == 1}


def _named(document: dict[str, object]) -> Iterable[tuple[str, str]]:
    meters = document.get("meters", [])
    for entry in meters if isinstance(meters, list) else []:
        if isinstance(entry, dict):
            name, meter = entry.get("keys_file"), entry.get("id")
            if isinstance(name, str) and isinstance(meter, str):
                yield name, meter


def _with(found: Configuration, given: dict[str, bytes]) -> Configuration:
    files = (File(file.name, given.get(file.name, file.octets)) for file in found.files)
    return Configuration(tuple(files))
