"""An engine that does what the mail tells it to, for the tests of its isolation."""

import os
import time

from incidents.mail.facts import AuthResult
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import EngineDidNotAnswer, Scan


class Strange:
    name = "strange"

    def __init__(self, greeting="hello"):
        self.greeting = greeting

    async def scan(self, raw, facts, envelope):
        match raw:
            case b"hang":
                time.sleep(60)
            case b"die":
                os._exit(1)
            case b"raise":
                raise RuntimeError("a bug")
            case b"silent":
                raise EngineDidNotAnswer("told not to")
            case b"print":
                print("this must not reach the parent")
                os.write(1, b"nor this")
            case b"nan":
                return scan(score=float("nan"))
        return scan(reasons=(Reason("greeting", f"{self.greeting} {envelope.mail_from}"),))


def scan(**changes):
    values = {
        "engine": "strange",
        "version": str(os.getpid()),
        "verdict": Verdict.SPAM,
        "score": 7.5,
        "confidence": 0.5,
        "reasons": (),
        "auth": (AuthResult("gate1", "spf", "pass", "sender.example"),),
    }
    return Scan(**{**values, **changes})


def not_an_engine():
    raise RuntimeError("it cannot be made")
