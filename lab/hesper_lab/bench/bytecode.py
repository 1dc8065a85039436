"""Bytecode is kept, as an installed package has it.

Without, each start would compile a thousand modules anew, and a benchmark measure the compiler.
"""

from __future__ import annotations

import os
from pathlib import Path


def kept(folder: Path) -> dict[str, str]:
    """Return what a child's environment says so that it keeps bytecode: below a folder, or where
    it is kept already.
    """
    place = os.environ.get("PYTHONPYCACHEPREFIX") or str(folder)
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": place}
