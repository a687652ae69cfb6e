"""What is written already goes into JSON as it is, by both ways of writing."""

from __future__ import annotations

import pytest

from incidents.mail.json_text import ReadyJson, parse_json, write_json


@pytest.mark.parametrize("beside", ["plain", "\ud800", 2**70])
def test_a_value_that_is_written_already_is_the_value(beside: object) -> None:
    ready = ReadyJson(write_json({"subject": "a \u2028 b", "odd": "\udfff"}))
    text = write_json({"mail": ready, "beside": beside})
    assert b"\n" not in text
    assert parse_json(text) == {
        "mail": {"subject": "a \u2028 b", "odd": "\udfff"},
        "beside": beside,
    }


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        write_json({"a": object()})
