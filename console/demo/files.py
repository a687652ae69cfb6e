"""Files of the demo that only its owner reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_private(path: Path, content: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w") as handle:
        json.dump(content, handle, indent=1)
    scratch.replace(path)
