"""What gurux's translator makes of an APDU, for those who want to hear another voice.

It is GPL-2.0-only and sometimes loops, so it runs in a process of its own, with a time limit, and
only where somebody installed it. It is asked nothing that holds passwords or keys, as it would show
them. Whatever it does, we go on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

LIMIT_S = 10.0
_PACKAGE = "gurux_dlms"
_PROGRAM = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from gurux_dlms.GXByteBuffer import GXByteBuffer
from gurux_dlms.GXDLMSTranslator import GXDLMSTranslator
said = []
for line in sys.stdin.read().split():
    with redirect_stdout(StringIO()):
        translator = GXDLMSTranslator()
        translator.comments = True
        try:
            text = translator.pduToXml(GXByteBuffer(bytes.fromhex(line))).strip()
        except BaseException as error:
            text = "cannot translate it: %s %s" % (type(error).__name__, error)
    said.append(text)
print(json.dumps(said))
"""


def second_opinion(apdus: Sequence[bytes]) -> list[str]:
    """Return the translation of each APDU as XML; one text that says why where there is none."""
    if find_spec(_PACKAGE) is None:
        return [f"not asked: {_PACKAGE} is not installed"]
    if not apdus:
        return ["not asked: nothing to show it (an APDU with secrets is not shown)"]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input="\n".join(each.hex() for each in apdus),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        said: list[str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return [f"no answer within {LIMIT_S:g} s"]
    except (subprocess.SubprocessError, OSError, ValueError):
        return ["it broke down"]
    return said
