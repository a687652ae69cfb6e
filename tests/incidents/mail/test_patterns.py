"""Every regular expression over hostile text takes time in proportion to the text.

The patterns are read from the source of all modules that look at mail, each with the functions it
is called by there, and are run on long texts of letters, digits, signs and of their own words.
"""

from __future__ import annotations

import ast
import importlib
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("incidents/mail", "seg_bridge/engines/embedded", "api_bridge/detect")
SHORT, LONG = 25_000, 100_000
MOST_WORDS = 8
MOST_S, MOST_RATIO = 1.0, 8.0
# Under this, four times the text cannot take long even where its square counts.
TOO_SHORT_TO_TELL_S = 0.03
UNITS = (
    *(
        "a",
        "A",
        "0",
        "é",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\r\n ",
        "@",
        "a@",
        "a.",
        "a-",
        "-",
        "_",
        ".",
        ",",
    ),
    *(
        "<",
        ">",
        "<a ",
        "</",
        "=",
        "=?",
        "==",
        "&#1;",
        "&",
        '"',
        "'",
        "\\",
        '\\"',
        "(",
        ")",
        "[",
        "]",
    ),
    *(
        "{",
        "/",
        "//",
        "http://",
        "http://a.",
        "www.",
        "www.a.",
        "%41",
        "+",
        "*",
        ";",
        ":",
        "!",
        "?",
    ),
    *(
        "aA0/+",
        "QUJD\r\n",
        "QUJD" * 19 + "\r\n",
        "a b ",
        "a0",
        "0 ",
        "1,",
        "$1",
        "\u200b",
        "--",
        "A0-",
    ),
)
SEARCHING = ("search", "findall", "finditer", "sub", "split", "subn")


@dataclass(frozen=True)
class Pattern:
    where: str
    compiled: re.Pattern[Any]
    is_searched: bool

    def run(self, text: str) -> None:
        data: Any = text if isinstance(self.compiled.pattern, str) else text.encode()
        if self.is_searched:
            for _ in self.compiled.finditer(data):
                pass
        else:
            self.compiled.match(data)


def modules() -> Iterator[tuple[Path, ModuleType]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            yield path, importlib.import_module(name.removesuffix(".__init__"))


def patterns() -> list[Pattern]:
    found = []
    for path, module in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
        methods = methods_by_name(calls)
        names = {
            id(each.value): each.targets[0].id
            for each in ast.walk(tree)
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        for call in calls:
            if not (isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "re"):
                continue
            if call.func.attr not in (*SEARCHING, "compile", "match", "fullmatch"):
                continue
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            used_by = methods.get(names.get(id(call), ""), {"search"})
            if call.func.attr != "compile":
                used_by = {call.func.attr}
            compiled = compiled_of(call, module)
            if compiled is not None:
                found.append(Pattern(where, compiled, bool(used_by & set(SEARCHING))))
    return found


def methods_by_name(calls: list[ast.Call]) -> dict[str, set[str]]:
    """Name of a pattern → what is called on it in its module."""
    found: dict[str, set[str]] = {}
    for call in calls:
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            found.setdefault(call.func.value.id, set()).add(call.func.attr)
    return found


def compiled_of(call: ast.Call, module: ModuleType) -> re.Pattern[Any] | None:
    """None where the pattern is put together at run time."""
    assert isinstance(call.func, ast.Attribute)
    at = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(call.func.attr, 2)
    given = {each.arg: each.value for each in call.keywords}
    flags = (
        call.args[at]
        if len(call.args) > at
        else given.get("flags", ast.parse("0", mode="eval").body)
    )
    try:
        pattern, number = (
            eval(compile(ast.Expression(node), "", "eval"), dict(vars(module)))
            for node in (call.args[0], flags)
        )
    except NameError:
        return None
    return re.compile(pattern, number)


def texts(pattern: Pattern) -> Iterator[Callable[[int], str]]:
    """Each makes a text of about so many characters."""
    source = pattern.compiled.pattern
    source = source if isinstance(source, str) else source.decode()
    words = re.findall(r"[A-Za-z0-9<>&=:;/@#\"'!?_ -]{1,40}", source.replace("\\s", " "))
    own = set(sorted(set(words), key=len)[:MOST_WORDS])
    for unit in (*UNITS, *sorted(own)):
        yield partial(repeated, unit)
    for begin in sorted(own):
        for unit in ("a", "0", " ", "."):
            yield partial(repeated, begin + unit * 200)


def repeated(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def cpu_s(pattern: Pattern, text: str) -> float:
    """Infinite where it takes longer than any text may."""
    started = time.process_time()
    try:
        with at_most(MOST_S * 1.5):
            pattern.run(text)
    except TimeoutError:
        return float("inf")
    return time.process_time() - started


def complaint(pattern: Pattern) -> str:
    """What is wrong with it, "" if nothing."""
    for text in texts(pattern):
        short = text(SHORT)
        once = cpu_s(pattern, short)
        if once < TOO_SHORT_TO_TELL_S:
            continue
        if once > MOST_S and cpu_s(pattern, short) > MOST_S:  # the long text needs no try
            return f"{once:.3f} s on {short[:40]!r}…"
        first = min(once, *(cpu_s(pattern, short) for _ in range(2)))
        long = text(LONG)
        second = cpu_s(pattern, long)
        if is_too_slow(first, second):
            second = min(second, cpu_s(pattern, long))
        if is_too_slow(first, second):
            return f"{first:.3f} s, then {second:.3f} s on {short[:40]!r}…"
    return ""


def is_too_slow(short_s: float, long_s: float) -> bool:
    is_square = short_s > TOO_SHORT_TO_TELL_S and long_s > MOST_RATIO * short_s
    return long_s > MOST_S or is_square


ALL = patterns()


def test_the_patterns_are_found():
    assert len(ALL) > 100


@pytest.mark.parametrize("pattern", ALL, ids=lambda pattern: pattern.where)
def test_no_text_makes_a_pattern_slow(pattern):
    assert complaint(pattern) == ""


def test_a_pattern_that_goes_back_and_forth_is_noticed(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "MOST_S", 0.1)  # these would use up any time
    for source in (r"a*b", r"(?:a+)+$"):
        assert complaint(Pattern("here", re.compile(source), is_searched=True))
    assert complaint(Pattern("here", re.compile(r"a{1,9}@"), is_searched=True)) == ""
