"""The world of these tests itself: nothing of it is left without a word."""

from tests.isolation.marking import EXCUSED, unmarked_columns


def test_every_text_and_json_column_of_each_client_carries_its_word(world):
    sides = {side.tenant.id: side for side in (world.acme, world.globex)}

    unmarked = unmarked_columns(sides)

    assert unmarked - set(EXCUSED) == set(), "fill these in world.py, or excuse them"
    assert set(EXCUSED) - unmarked == set(), "excused for nothing"
