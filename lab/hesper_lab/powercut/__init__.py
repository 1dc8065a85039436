"""Power cuts of a gateway, all of them: record once what goes to the card, then cut at every step.

Theory of operation
-------------------
`workload` runs the gateway's own outbox, counters, journal and command executor, and says on a
side channel whatever it has promised: a stored batch, a counter handed out, a relay moved.
`recording` runs it under strace and returns every write, sync, truncation and change of a name in
order, promises among them. `disk` plays them back on a card that keeps only what was synchronised:
after every step it yields the images that a power cut could leave (nothing else survived, all of it
did, or any sectors of it). `survey` opens each image with the gateway's own code and holds it
against the promises made until then.
"""
