"""Held mail: who may release it, what clients ask for, the digest, how long it is kept."""
