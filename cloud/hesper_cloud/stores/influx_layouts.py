"""The lists of quantities that readings in InfluxDB refer to."""

import json
from collections.abc import Iterable

from hesper_cloud.stores.influx_lines import LAYOUTS, layout_id, layout_line
from hesper_cloud.stores.influx_ql import select
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Quantity, StoreUnavailable


class Layouts:
    """Layouts by name; those of other writers are learned when they are met or asked for."""

    def __init__(self, server: InfluxServer, *, sole_writer: bool) -> None:
        self._server = server
        self._sole_writer = sole_writer
        self.known: dict[int, tuple[Quantity, ...]] = {}
        self._profiles: dict[int, set[str]] = {}

    def load(self) -> None:
        """Reads all layouts."""
        query = select("quantities", LAYOUTS, "time = 0s", "layout, profile")
        for table in self._server.query(query):
            for _, text in table.rows:
                quantities = tuple(Quantity(*fields) for fields in json.loads(text))
                self._learn(int(table.tags["layout"]), table.tags["profile"], quantities)

    def _learn(self, name: int, profile: str, quantities: tuple[Quantity, ...]) -> None:
        self.known[name] = quantities
        self._profiles.setdefault(name, set()).add(profile)

    def ensure(self, wanted: Iterable[tuple[str, tuple[Quantity, ...]]]) -> None:
        """Makes layouts durable, each with its profile, before readings refer to them."""
        fresh = {
            (layout_id(quantities), profile): quantities
            for profile, quantities in wanted
            if profile not in self._profiles.get(layout_id(quantities), ())
        }
        if fresh:
            lines = [layout_line(profile, each) for (_, profile), each in fresh.items()]
            self._server.write("\n".join(lines).encode(), "s")
        for (name, profile), quantities in fresh.items():
            self._learn(name, profile, quantities)

    def of_profile(self, profile: str) -> list[int]:
        """Returns the layouts that a profile has ever had; one may be of any ("") profile."""
        if not self._sole_writer:
            self.load()
        profiles = list(self._profiles.items())  # a writer may learn another
        return [name for name, found in profiles if not found.isdisjoint((profile, ""))]

    def quantities(self, name: int) -> tuple[Quantity, ...]:
        """Returns a layout.

        Raises:
            StoreUnavailable: it is not there (yet): another writer's, still on its way.
        """
        if name not in self.known:
            self.load()
        if name not in self.known:
            raise StoreUnavailable(f"layout {name} is not stored")
        return self.known[name]

    def having(self, logical_name: str) -> dict[int, Quantity]:
        """Returns the layouts that hold a quantity, each with the first one of that name."""
        if not self._sole_writer:
            self.load()
        return {
            name: quantity
            for name, quantities in list(self.known.items())  # a writer may learn another
            for quantity in reversed(quantities)
            if quantity.logical_name == logical_name
        }
