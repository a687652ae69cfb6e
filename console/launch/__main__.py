"""`python -m console.launch run`."""

from __future__ import annotations

import os
import sys

import psycopg

from console.gateway_parts import PartMissing
from console.gateway_parts.gateway import GatewayRuns, WrongGatewaySetting
from console.gateway_parts.prepare import BadConfiguration
from console.launch.clean import var_folder
from console.launch.pglocal import PostgresMissing
from console.launch.plan import WrongSetting
from console.launch.process import DidNotStart
from console.launch.run import AlreadyRuns, run
from console.launch.valkeylocal import ValkeyMissing

MISSING = (PostgresMissing, ValkeyMissing, PartMissing)
USAGE = "usage: python -m console.launch run"


def main(argv: list[str]) -> int:
    if argv != ["run"]:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        run(os.environ, var_folder())
    except (WrongSetting, WrongGatewaySetting, AlreadyRuns, GatewayRuns) as trouble:
        print(f"bailey: {trouble}", file=sys.stderr)
        return 2
    except PermissionError as trouble:
        print(
            f"bailey: {trouble}. Was it run by another user before? Then let that user run it, or "
            "give this one the folder (chown -R)",
            file=sys.stderr,
        )
        return 1
    except (*MISSING, DidNotStart, BadConfiguration, LookupError, psycopg.Error) as trouble:
        print(f"bailey: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
