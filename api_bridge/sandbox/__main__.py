"""``python -m api_bridge.sandbox``: the sandbox cloud as a process.

Says ``ready`` on its output once everything listens, and writes where to ``addresses.json`` in
its folder (a port 0 has become a real one there); exits with 2 and one line if a variable is
wrong, with 1 and one line if a port is taken.
"""

import asyncio
import json
import logging
import os
import sys
from functools import partial
from pathlib import Path

from api_bridge.sandbox.server import Addresses, run
from api_bridge.sandbox.settings import Settings, SettingsError


def main() -> int:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    # A peer's broken mail is no trouble of ours.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(run(settings, partial(_announce, settings.folder)))
    except OSError as error:
        sys.stderr.write(f"the sandbox cloud can't listen or write: {error}\n")
        return 1
    return 0


def _announce(folder: Path, addresses: Addresses) -> None:
    named = {name: address.netloc for name, address in addresses.by_name().items()}
    (folder / "addresses.json").write_text(json.dumps(named))
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
