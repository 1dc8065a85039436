"""Outages: power-loss events become one outage with its extent, and end meter by meter.

Theory of operation. What a meter says with its last strength (``power.last_gasp``), or finds in its
log afterwards (``power.down``), opens a `PowerLoss`; ``power.up``, or a reading captured later,
proves that it has power again (`losses`). Every few seconds the losses of the same minutes are put
together (`keeping`): the largest part of the grid that is mostly lost is the outage, a smaller one
that was opened before is merged into it, and its alert gives way to the larger one's.
"""
