"""The demo: a provider with three clients, and mail that tells each kind of story.

``setup`` makes provider, clients, people and the sandbox cloud's side of it; ``stories`` writes the
mail (seeded: the same seed gives the same mail); ``flow`` sends it, ``acts`` does what analysts do
in between, ``measure`` says at the end how much work it made.
"""
