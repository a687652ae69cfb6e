"""The table of `make bench` and what it does when something is missing."""

from __future__ import annotations

from tests.bench import Measurement, NotMeasured
from tests.bench.__main__ import measures, run, table


def test_a_missing_corpus_is_said_and_the_rest_is_measured():
    def without_corpus():
        raise NotMeasured("the corpus is not here")

    row = Measurement(
        name="intake", value=0.91234, unit="ratio", against="bare COPY", goal="≥ 0.8", met=True
    )
    rows, left_out = run({"detection": without_corpus, "intake": lambda: [row]})
    assert rows == [row]
    assert left_out == {"detection": "the corpus is not here"}
    assert table(rows).splitlines()[2].split() == [
        "intake", "0.9123", "ratio", "≥", "0.8", "yes", "bare", "COPY",
    ]  # fmt: skip


def test_every_measurement_is_found_under_its_own_name():
    for name, measure in measures().items():
        assert callable(measure), name
