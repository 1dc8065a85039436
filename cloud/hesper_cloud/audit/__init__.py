"""The audit log: a chain of hashes, checkpoints of it that gateways witness, and its examination.

Chain and checkpoints are the authority's to write; anyone who may read its database, and has the
authority's public key, can examine them.
"""

from hesper_cloud.audit.chain import GENESIS, Entry, append, row_hash
from hesper_cloud.audit.examination import Verdict, Witnessed, examine, verify

__all__ = [
    "GENESIS",
    "Entry",
    "Verdict",
    "Witnessed",
    "append",
    "examine",
    "row_hash",
    "verify",
]
