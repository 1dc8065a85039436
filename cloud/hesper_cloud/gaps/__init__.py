"""The gap ledger: every capture that should be in the store and is not, with cause and state.

Theory of operation. A gateway announces which profile a meter captures, and how often; whatever
other profile is stored is learned from its captures. `ledger.GapLedger` compares what is due with
what is stored and keeps one row per run of missing captures. `backfills.Backfills` asks for these
rows again, by commands that the authority signs within limits of its own::

    open ──→ requested ──→ closed      the captures are stored: counted, dated and hashed as proof
     │ ▲         │
     │ └─failed──┤
     └───────────┴───────→ given_up    the meter was asked and reports none (its gateway signed it),
                                       or it could not be asked for longer than meters remember

A given-up row whose captures arrive after all is closed like any other.
"""

from hesper_cloud.gaps.backfills import Backfills
from hesper_cloud.gaps.ledger import GapLedger
from hesper_cloud.gaps.runs import Run, learned_period, missing_runs

__all__ = ["Backfills", "GapLedger", "Run", "learned_period", "missing_runs"]
