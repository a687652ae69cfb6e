"""Judges that do what the subject of the mail tells them to; they run in the reading process."""

import json
import os
import re
import time

from api_bridge.detect import child as detect
from seg_bridge.engines.embedded import child as engine

STRANGE = f"{__name__}:strange"
ENGINE = f"{__name__}:engine_with_bombs"
DETECT = f"{__name__}:detect_with_bombs"


def strange(raw, facts, told):
    match facts.subject:
        case "loop":
            while True:
                pass
        case "regex":  # in C, where no other thread of the process runs
            re.match("(a+)+$", "a" * 60 + "b")
        case "sleep":
            time.sleep(60)
        case "hog":
            return [bytearray(64 * 1024 * 1024) for _ in range(1_000)]
        case "die":
            os._exit(1)
        case "fail":
            raise ZeroDivisionError("a bug of ours\nand a second line")
        case "unsendable":
            return {1, 2}
    return {"raw": len(raw), "subject": facts.subject, "told": json.loads(json.dumps(told))}


def engine_with_bombs(raw, facts, told):
    strange(raw, facts, None)
    return engine.judge(raw, facts, told)


def detect_with_bombs(raw, facts, told):
    strange(raw, facts, None)
    return detect.judge(raw, facts, told)
