"""Times as Graph writes them: whole seconds, which is what rows hold (Unix time)."""

import datetime as dt
import time


def now_s() -> int:
    return int(time.time())


def as_graph_time(unix_s: int) -> str:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_graph_time(text: str) -> float:
    """Unix seconds of an ISO 8601 time (UTC where it names no zone).  Raises ValueError."""
    # Seven digits of a second are usual in OData; fromisoformat takes six.
    head, dot, rest = text.strip().upper().replace("Z", "+00:00").partition(".")
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        head = f"{head}.{digits[:6]:0<6}{rest[len(digits) :]}"
    moment = dt.datetime.fromisoformat(head)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
