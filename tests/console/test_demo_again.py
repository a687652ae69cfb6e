"""A demo that is started again."""

from __future__ import annotations

from itertools import islice

from console.demo import flow
from console.demo.mails import DemoMail
from console.demo.stories import Author
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import stop_the_ceo


def test_its_opening_is_not_told_again(cast: Cast):
    assert not flow._is_told()
    opening = len(list(Author().opening()))
    kinds = {type(step) for step in islice(Author().steps(is_told=False), opening)}
    assert len(kinds) > 1, "people act in it"
    stop_the_ceo(cast)
    assert flow._is_told()
    for step in islice(Author().steps(is_told=True), opening):
        assert isinstance(step, DemoMail)
        assert step.way != "out"
