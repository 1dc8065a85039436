"""Service levels: what was promised, what was reached, and where the rest was lost.

Theory of operation. A level promises that a share of what is due on a day is stored within some
hours after the day's end: single captures (``captures``, the scheduled-read success rate) or whole
days of meters (``days``). What is due is known from the gap ledger's expectations; when it was
stored, from the readings. Days are those of one configured zone, 23 or 25 hours long where its
clock changes. A level of ``messages`` counts batches that were stored against those that were
refused. A day's figure changes until its deadline has passed, and is then final.

The same count gives the drill-down: the meters that missed a level, each with the cause that the
gap ledger found and the hop where its gateway's visits stopped.
"""
