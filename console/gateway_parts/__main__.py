"""``python -m console.gateway_parts``: see ``command.py``."""

import sys

from console.gateway_parts.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
