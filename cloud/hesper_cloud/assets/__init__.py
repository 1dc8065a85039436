"""What the company owns and serves: their lives, links and history, in the registry's transactions.

Everything here works inside a transaction that the caller has opened for writing, so that a change
and its history are committed together or not at all. Who may ask is the services' business.
"""
