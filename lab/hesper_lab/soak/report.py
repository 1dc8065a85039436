"""What a soak found, for people: the figures, and memory over time as a line of blocks."""

from rich.console import Console
from rich.table import Table

from hesper_lab.soak.run import Soaked

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_EXPLAINED = {
    "minutes": "how long meters latched",
    "meters": "behind the one gateway",
    "latched": "readings that meters latched",
    "stored": "of these in the store",
    "lost": "latched and not stored",
    "duplicated": "stored twice",
    "altered": "stored with another value",
    "phantom": "stored and never latched",
    "drained_s": "seconds until all was stored, after latching stopped",
    "failures": "failed attempts by hop",
    "rss_mb_warm": "the gateway's memory after the warm-up",
    "rss_mb_end": "and at the end",
    "cpu_warm": "its share of a core after the warm-up",
    "cpu_end": "and at the end",
    "descriptors_warm": "its open files after the warm-up",
    "descriptors_end": "and at the end",
    "ok": "every promise held",
}


def show(soaked: Soaked, screen: Console) -> None:
    """Print a soak as a table and a line of memory."""
    table = Table(show_header=False, box=None)
    for name, value in soaked.to_json().items():
        table.add_row(_EXPLAINED[name], f"[bold]{value}[/]", f"[dim]{name}[/]")
    screen.print(table)
    memory = [each.rss_mb for each in soaked.samples]
    screen.print(f"memory {min(memory)} to {max(memory)} MB  {spark(memory)}")


def spark(values: list[float]) -> str:
    """Return values as one line of blocks, the highest of each stretch."""
    stretch = max(1, -(-len(values) // _WIDTH))
    tops = [max(values[at : at + stretch]) for at in range(0, len(values), stretch)]
    low, span = min(tops), max(tops) - min(tops) or 1.0
    return "".join(_BLOCKS[int((top - low) / span * (len(_BLOCKS) - 1))] for top in tops)
