"""OData as far as Graph's lists use it: $filter to SQL, $orderby, $select, and the rule that ties
$orderby to $filter.

Source: OASIS OData 4.01 URL conventions; Microsoft, "Use query parameters to customize
responses" and "List messages" (the InefficientFilter rule), read 2026-11.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api_bridge.sandbox.clock import read_graph_time

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?"
    r"|\d{4}-\d\d-\d\d)|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w/@.]*)"
    r"|(?P<mark>[(),:]))",
    re.ASCII,
)
_OPERATORS = {"eq": "=", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_FUNCTIONS = {"startswith": "{}%", "endswith": "%{}", "contains": "%{}%"}
MAX_DEPTH = 20


class BadQuery(ValueError):
    """A query that Graph would refuse.  ``code`` is the error code it would answer with."""

    def __init__(self, message: str, code: str = "ErrorInvalidUrlQueryFilter") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Column:
    """One property that may be filtered and sorted by.  ``kind``: text, time, flag or list (a
    JSON array of texts).
    """

    sql: str
    kind: str = "text"


Columns = Mapping[str, Column]  # by property path in small letters


@dataclass(frozen=True, slots=True)
class Where:
    """``properties``: in the order in which the filter names them, in small letters."""

    sql: str
    values: tuple[Any, ...]
    properties: tuple[str, ...]


EVERYTHING = Where("1", (), ())


def read_filter(text: str, columns: Columns) -> Where:
    """Raises BadQuery."""
    return _Filter(text, columns).read()


def read_orderby(text: str, columns: Columns) -> list[tuple[str, str]]:
    """Pairs of property (small letters) and SQL.  Raises BadQuery."""
    order = []
    for part in text.split(","):
        name, _, direction = part.strip().partition(" ")
        column = columns.get(name.lower())
        if column is None or direction.strip().lower() not in ("", "asc", "desc"):
            raise BadQuery(f"The query parameter '$orderby={text}' is invalid.",
                           "ErrorInvalidUrlQuery")  # fmt: skip
        down = " DESC" if direction.strip().lower() == "desc" else ""
        order.append((name.lower(), f"{column.sql}{down}"))
    return order


def check_efficient(where: Where, order: Sequence[tuple[str, str]]) -> None:
    """What is sorted by must come first in the filter, in the same order.  Raises BadQuery."""
    sorted_by = [name for name, _ in order]
    filtered_by = list(dict.fromkeys(where.properties))
    if where.properties and sorted_by != filtered_by[: len(sorted_by)]:
        raise BadQuery("The restriction or sort order is too complex for this operation.",
                       "InefficientFilter")  # fmt: skip


def read_select(text: str, names: Sequence[str], type_name: str) -> list[str]:
    """The selected properties in Graph's spelling.  Raises BadQuery."""
    known = {name.lower(): name for name in names}
    selected = []
    for part in text.split(","):
        name = known.get(part.strip().lower())
        if name is None:
            raise BadQuery(
                f"Parsing OData Select and Expand failed: Could not find a property named "
                f"'{part.strip()}' on type '{type_name}'.",
                "BadRequest",
            )
        selected.append(name)
    return list(dict.fromkeys(selected))


class _Filter:
    """A recursive-descent reader over the tokens of one filter."""

    def __init__(self, text: str, columns: Columns) -> None:
        self._columns = columns
        self._tokens = self._split(text)
        self._values: list[Any] = []
        self._properties: list[str] = []
        self._depth = 0

    def read(self) -> Where:
        sql = self._either()
        if self._tokens:
            raise BadQuery("Invalid filter clause: more follows than was expected.")
        return Where(sql, tuple(self._values), tuple(self._properties))

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        tokens, at = [], 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise BadQuery(f"Invalid filter clause: syntax error at position {at}.")
            tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        tokens.reverse()
        return tokens

    def _either(self) -> str:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadQuery("The filter is nested too deeply.")
        sql = self._both()
        while self._take_word("or"):
            sql = f"({sql} OR {self._both()})"
        self._depth -= 1
        return sql

    def _both(self) -> str:
        sql = self._term()
        while self._take_word("and"):
            sql = f"({sql} AND {self._term()})"
        return sql

    def _term(self) -> str:
        if self._take_word("not"):
            return f"NOT {self._term()}"
        kind, text = self._next()
        if (kind, text) == ("mark", "("):
            sql = self._either()
            self._expect(")")
            return f"({sql})"
        if kind != "word":
            raise BadQuery(f"Invalid filter clause: unexpected {text!r}.")
        if text.lower() in _FUNCTIONS:
            return self._function(text.lower())
        if text.lower().endswith("/any"):
            return self._any(text[: -len("/any")])
        return self._comparison(self._column(text))

    def _comparison(self, column: Column) -> str:
        _, operator = self._next()
        if operator.lower() not in _OPERATORS:
            raise BadQuery(f"Invalid filter clause: unknown operator {operator!r}.")
        self._values.append(self._value(column))
        return f"{column.sql} {_OPERATORS[operator.lower()]} ?"

    def _function(self, name: str) -> str:
        self._expect("(")
        column = self._column(self._next()[1])
        self._expect(",")
        value = str(self._value(column))
        self._expect(")")
        escaped = re.sub(r"([\\%_])", r"\\\1", value)
        self._values.append(_FUNCTIONS[name].format(escaped))
        return f"{column.sql} LIKE ? ESCAPE '\\'"

    def _any(self, path: str) -> str:
        """``categories/any(c:c eq 'x')``"""
        column = self._column(path)
        if column.kind != "list":
            raise BadQuery(f"Invalid filter clause: any() does not fit '{path}'.")
        self._expect("(")
        variable = self._next()[1]
        self._expect(":")
        if self._next()[1] != variable or self._next()[1].lower() != "eq":
            raise BadQuery("Invalid filter clause: only 'eq' is known inside any().")
        self._values.append(self._value(Column("")))
        self._expect(")")
        return f"EXISTS (SELECT 1 FROM json_each({column.sql}) WHERE value = ?)"  # noqa: S608 - our own column name

    def _column(self, path: str) -> Column:
        column = self._columns.get(path.lower())
        if column is None:
            raise BadQuery(f"Invalid filter clause: the property '{path}' can't be filtered by.")
        self._properties.append(path.lower())
        return column

    def _value(self, column: Column) -> Any:
        kind, text = self._next()
        if column.kind == "time" and kind == "time":
            try:
                return read_graph_time(text)
            except ValueError as error:
                raise BadQuery(f"Invalid filter clause: no time: {text!r}.") from error
        if column.kind == "flag" and kind == "word" and text.lower() in ("true", "false"):
            return int(text.lower() == "true")
        if column.kind in ("text", "list") and kind == "text":
            return text[1:-1].replace("''", "'")
        raise BadQuery(
            "Invalid filter clause: A binary operator with incompatible types was detected."
        )

    def _take_word(self, word: str) -> bool:
        if self._tokens and self._tokens[-1][0] == "word" and self._tokens[-1][1].lower() == word:
            self._tokens.pop()
            return True
        return False

    def _expect(self, mark: str) -> None:
        if self._next()[1] != mark:
            raise BadQuery(f"Invalid filter clause: {mark!r} expected.")

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise BadQuery("Invalid filter clause: it ends too early.")
        return self._tokens.pop()
