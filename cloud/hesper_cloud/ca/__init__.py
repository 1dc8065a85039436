"""Hesper's own certificate authority: who may come to the broker, and under which name.

Is: one issuing authority (ECDSA P-256), self-signed or below a root that somebody else keeps; short
certificates for gateways (30 days) and servers (a year); revocation lists.
Is not: an authority for anybody else. It copies nothing from a request but the public key, and the
name is always the one that the head end has proven by other means: a token, or a key on record.
"""
