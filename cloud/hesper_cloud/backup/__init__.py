"""Backups of the head end, taken while it runs, restored into an empty folder, and rehearsed.

Theory of operation. A backup is a folder: the authority's database first, then the registry, then
the readings and the energy book, each a consistent copy (of readings on InfluxDB: day by day), and
the files that the registry's rows name: firmware images, imports, reports. The
order matters: what the authority has settled it settles once, so its copy must not know of rows
that the registry's copy lacks. Readings come later, because what a copy lacks comes again: gateways
hold receipted batches for days and are asked to send them again, and what is older the gap ledger
reads from the meters; days whose readings came later are summed again.

A manifest lists every file with its SHA-256, and what each database holds by count and digest; a
restore is good only when all of that is found again.

Keys are never part of a backup: who holds a backup must not be able to sign commands or receipts.
The manifest names the keys by their ids, so that a restore can say which ones it needs.
"""

from hesper_cloud.backup.making import make
from hesper_cloud.backup.manifest import BackupError, Manifest
from hesper_cloud.backup.restoring import restore

__all__ = ["BackupError", "Manifest", "make", "restore"]
