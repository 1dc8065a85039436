"""A gateway goes over to another version of itself, and back by itself where that does not work.

``launcher`` starts the version that counts; ``slots`` says which that is, durably; ``bundle``
unpacks one; ``errand`` carries out the command; ``trial`` waits for the proofs.
"""
