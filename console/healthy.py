"""``python -m console.healthy SERVICE``: does this service work?  For a container's healthcheck.

Run beside the service, with its environment.  It ends with 0 and says what answered, or with 1 and
says what did not.  It is run often, so each check imports what it needs and no more; none needs
Django or a database.

console, portal, ingest  ``/healthz`` answers 200, which asks the database
worker, beat, ship       their last sign of life (``seg_bridge/sign_of_life.py``) is fresh: a task
                         was done, a task was given to the broker, all journals were carried on
gateway                  Postfix greets on both ports, Rspamd answers
gate                     it negotiates as a milter, or greets where it speaks SMTP itself
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from seg_bridge.sign_of_life import VARIABLE

PORTS = {"console": 8000, "portal": 8001, "ingest": 8002}
ANSWER_WITHIN_S = 5.0
# The beat rings every two seconds; a worker may have all its threads in long tasks.
FRESH_S = {"worker": 120.0, "beat": 30.0, "ship": 60.0}
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_ALL_ACTIONS, _ALL_STEPS = 0x1FF, 0x1FFFFF


class NotHealthy(Exception):
    """The words say what does not answer."""


def main(argv: list[str], environment: Mapping[str, str] = os.environ) -> int:
    if len(argv) != 1 or argv[0] not in CHECKS:
        sys.stderr.write(f"bailey: name one service: {', '.join(CHECKS)}\n")
        return 2
    try:
        sys.stdout.write(f"{argv[0]}: {CHECKS[argv[0]](environment)}\n")
    except (NotHealthy, OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{argv[0]} does not work: {error}\n")
        return 1
    return 0


def _web(surface: str) -> Callable[[Mapping[str, str]], str]:
    def check(environment: Mapping[str, str]) -> str:
        # It answers for its own names only.
        host = (environment.get("BAILEY_HOSTS") or "localhost").split(",")[0]
        return _ask_http(PORTS[surface], "/healthz", host)

    return check


def _ask_http(port: int, path: str, host: str) -> str:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)
    try:
        link.request("GET", path, headers={"Host": host})
        status = link.getresponse().status
    finally:
        link.close()
    if status != http.client.OK:
        raise NotHealthy(f"{path} on port {port} answers {status}")
    return f"{path} answers {status}"


def _by_sign(service: str) -> Callable[[Mapping[str, str]], str]:
    def check(environment: Mapping[str, str]) -> str:
        path = environment.get(VARIABLE)
        if not path:
            raise NotHealthy(f"{VARIABLE} is missing: the file that {service} touches")
        try:
            age_s = time.time() - Path(path).stat().st_mtime
        except FileNotFoundError:
            raise NotHealthy("it has done nothing yet") from None
        if age_s > FRESH_S[service]:
            raise NotHealthy(f"it has done nothing for {age_s:.0f} s")
        return f"did its work {max(0.0, age_s):.0f} s ago"

    return check


def _gateway(environment: Mapping[str, str]) -> str:
    from console.gateway_parts.gateway import WrongGatewaySetting, read_run_file, read_settings
    from console.launch.clean import var_folder

    try:
        settings = read_settings(environment, var_folder())
    except WrongGatewaySetting as error:
        raise NotHealthy(str(error)) from error
    if read_run_file(settings.folder) is None:
        raise NotHealthy("its parts do not all run yet")
    for variable in ("GATE_PORT", "SUBMISSION_PORT"):
        _greets(settings.host, settings.ports[variable])
    _ask_http(settings.ports["RSPAMD_PORT"], "/ping", "localhost")
    return "Postfix greets, Rspamd answers"


def _greets(host: str, port: int) -> str:
    address = (_EVERYWHERE.get(host, host), port)
    with socket.create_connection(address, timeout=ANSWER_WITHIN_S) as line:
        greeting = line.recv(512)
        line.sendall(b"QUIT\r\n")
    if not greeting.startswith(b"220"):
        raise NotHealthy(f"no greeting on port {port}: {greeting[:80]!r}")
    return f"greets on port {port}"


def _gate(environment: Mapping[str, str]) -> str:
    from seg_bridge.gate.milter_wire import VERSION, packet
    from seg_bridge.gate.settings import BadSetting, read_settings

    try:
        settings = read_settings(environment)
    except BadSetting as error:
        raise NotHealthy(str(error)) from error
    if settings.milter is None:
        return _greets(*settings.listen)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_WITHIN_S)
        line.connect(str(settings.milter))
        line.sendall(packet("O", struct.pack(">III", VERSION, _ALL_ACTIONS, _ALL_STEPS)))
        answer = line.recv(512)
    if answer[4:5] != b"O":
        raise NotHealthy(f"it does not negotiate on {settings.milter}: {answer[:20]!r}")
    return f"negotiates on {settings.milter}"


CHECKS: dict[str, Callable[[Mapping[str, str]], str]] = {
    **{surface: _web(surface) for surface in PORTS},
    **{service: _by_sign(service) for service in FRESH_S},
    "gateway": _gateway,
    "gate": _gate,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
