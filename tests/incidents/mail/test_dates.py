"""The short way of reading a date says what the standard library says."""

from datetime import UTC
from email.utils import parsedate_to_datetime

import pytest

from incidents.mail.dates import parse_date

DATES = [
    "Mon, 30 Nov 2026 10:12:05 +0000",
    "30 Nov 2026 10:12:05 -0500",
    "Tue,  1 Dec 2026 00:00:00 +0545",
    "Wed, 2 Dec 2026 23:59:59 -0000",
    "Thu, 03 Dec 2026 04:05:06 -0800 (PST)",
    "Xyz, 03 Dec 2026 04:05:06 +1959",
    "Fri, 4 Dec 2026 04:05 +0100",
    "Fri, 4 Dec 2026 04:05:06 GMT",
    "Fri, 4 dec 2026 04:05:06 +0100",
    "Fri, 4 Dec 26 04:05:06 +0100",
]
NO_DATES = [
    "",
    "30 Nov 2026 24:00:00 +0000",
    "30 Nov 2026 23:59:60 +0000",
    "31 Nov 2026 10:00:00 +0000",
    "0 Nov 2026 10:00:00 +0000",
    "30 Nox 2026 10:00:00 +0000",
]


@pytest.mark.parametrize("text", DATES)
def test_is_that_time_in_utc(text: str) -> None:
    told = parsedate_to_datetime(text)
    expected = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    found = parse_date(text)
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", NO_DATES)
def test_is_none_where_there_is_no_such_time(text: str) -> None:
    assert parse_date(text) is None
