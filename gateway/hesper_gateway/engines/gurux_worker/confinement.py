"""What the program gives up before it is asked anything; the kernel keeps it to that.

No descriptor beyond those that are open can be had any more: no socket, no file, no pipe. Memory
is bounded, nothing is dumped, and no call lasts longer than its alarm, whose default action ends
the process wherever it loops.
"""

import os
import resource
import signal

MEMORY_OCTETS = 512 * 1024 * 1024


def give_up(last_descriptor: int) -> None:
    """Keep the descriptors up to this one; everything the program imports must be imported."""
    _limit(resource.RLIMIT_AS, MEMORY_OCTETS)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, last_descriptor + 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to us, too
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def own_streams() -> tuple[int, int]:
    """Return descriptors of the two pipes; what gurux prints goes nowhere."""
    ask, answer = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return ask, answer


def alarm(seconds: float) -> None:
    """End the process unless told otherwise within that time; 0 takes the order back."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))
