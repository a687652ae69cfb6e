"""Passwords of tests are hashed by the same algorithm as an installation's, at its least cost.

An installation's takes 100 MB and a quarter of a second of a processor, on purpose; more than a
hundred tests sign in.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

OF_INSTALLATIONS = tuple(settings.PASSWORD_HASHERS)


class QuickArgon2(Argon2PasswordHasher):
    time_cost = 1
    memory_cost = 8  # KiB, the least that there is
    parallelism = 1


def use_quick_hashes() -> None:
    """Whoever is tested in another process hashes as an installation does, and reads these."""
    settings.PASSWORD_HASHERS = [f"{__name__}.QuickArgon2"]
