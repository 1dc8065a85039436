"""Long work that survives everything: jobs that go on where they stopped.

Theory of operation::

    waiting ─→ running ─→ done
       │          ├─────→ failed       (the job says why, or a fault of ours)
       └──────────┴─────→ cancelled    (between two portions)

    failed, cancelled ─→ waiting       (when somebody lets it go on)

A job is a row of the registry. Its kind works it portion by portion: what can be made ready without
the database is, outside of any lock; then the portion's effect, the job's cursor and its progress
are written in one transaction. A process that is killed loses at most the portion in hand, whose
effect was not there yet, and whoever runs next goes on at the cursor: nothing is done twice,
nothing is left out. The transaction first looks whether the job stands where the portion began; so
a second runner, or somebody who cancels meanwhile, does no harm.

Jobs of one lane run one after the other, in the order in which they were asked for; lanes take
turns. What is unavailable now (database, store, disk) is tried again, and the job says that it
waits.
"""
