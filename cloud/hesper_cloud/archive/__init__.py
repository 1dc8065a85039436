"""Readings that have left the store: partitioned Parquet, in a folder or any address of fsspec.

Theory of operation. With ``[store.retention] raw_days`` and ``archive`` set, the store itself
removes nothing. A month (UTC) whose last day is older than ``raw_days``, and of which no day is
marked to be summed (`hesper_cloud.validation.dirty`), is gone through day by day:
what the store holds of a day and no part of the archive has yet becomes a new part, which is read
back, compared by count and digest, and only then entered in the registry. When all days of the
month are there, the store lets the month go, unless something of it came in meanwhile: then the
month is gone through again. Killed at any moment, the next turn does the rest: a part that is not
entered is written anew, one that is entered never changes, unless some of it is erased
(`hesper_cloud.archive.leaving_out`).

Late readings of a month that has left are stored as any others, and follow it as a further part of
their day; what a part has already, with the same values, is not archived again. Aggregates of a
month are not computed any more as soon as one of its days is archived: from then on the store may
lack some of it any moment.
"""
