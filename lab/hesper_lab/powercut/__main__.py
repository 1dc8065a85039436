"""Cuts a gateway's power after every step: python -m hesper_lab.powercut [--torn N] [--seed N]."""

import argparse
import sys
import tempfile
from pathlib import Path

from hesper_lab.powercut.recording import NoRecorder
from hesper_lab.powercut.survey import record_workload, survey


def main() -> int:
    """Returns 0 when every promise held, 1 when one did not, 3 when nothing could be recorded."""
    parser = argparse.ArgumentParser(prog="python -m hesper_lab.powercut", description=__doc__)
    parser.add_argument("--torn", type=int, default=20, help="mixtures of sectors at each step")
    parser.add_argument("--seed", type=int, default=1, help="of the mixtures")
    parser.add_argument("--pages", type=int, default=16, help="a checkpoint after so many")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hesper-powercut-") as folder:
        try:
            steps, keys = record_workload(Path(folder), chosen.pages)
        except NoRecorder as error:
            sys.stderr.write(f"{error}\n")
            return 3
        found = survey(steps, keys, chosen.torn, chosen.seed)
    told = f"{found.steps} steps, {found.images} images, {len(found.broken)} broken promises"
    sys.stdout.write("\n".join([told, *found.broken]) + "\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
