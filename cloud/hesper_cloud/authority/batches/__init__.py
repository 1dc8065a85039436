"""Batches: one kind of command for many meters, frozen, approved by its hash, let go in waves.

Theory of operation. A batch is proposed by one person (`proposing.propose`): the authority looks
up every meter itself, excludes by cause, and freezes kind, parameters, terms and rows under one
SHA-256 (`frozen`). A second person approves *that hash* with their password. From then on the rows
leave by themselves (`releasing`), each as an ordinary command in the names of the two, which passes
every check once more when it is signed::

    awaiting_approval ─→ canary ─→ running ─→ done
          │                │         │  ▲
          │                └────┬────┘  └── resume, retry, release: an approver, by password
          │                     ├─→ paused       a person's wish
          │                     ├─→ stopped      by itself: too many rows failed
          │                     ├─→ quarantined  as many left as one decision covers
          │                     ├─→ aborted      for good; what has not left never will
          │                     └─→ tampered     for good; what is stored is not what was approved
          └─→ rejected, expired

A row is ``waiting`` until its command is queued (``released``), and then stands as that command
ends: ``confirmed``, ``failed``, ``rejected``, ``expired``, ``cancelled`` or ``unknown`` (which may
still be settled). ``excluded`` rows never leave; an abort turns ``waiting`` into ``withdrawn``,
turn by turn where there are many (`recalling`). Retry turns what failed, and nothing else, back
into ``waiting``.

The canary is the first rows: all must have finished, and no greater share failed than the batch
bears, before another leaves; a batch may have more such parts (`waves`). At most ``wave_size`` rows
are under way at once and ``per_hour`` leave, at random distances; reconnects are staggered within
an area, and disconnects wait for the budgets. A row and its command are written in one transaction,
and the command's id follows from batch, position and try: whenever the process is killed, a row has
at most one command.
"""
