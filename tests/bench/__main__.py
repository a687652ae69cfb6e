"""Run the measurements, print a table, write var/bench.json."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import tests.bench as bench
from tests.bench import Measure, Measurement, NotMeasured

OUTPUT = Path(__file__).resolve().parents[2] / "var" / "bench.json"
COLUMNS = ("name", "value", "unit", "goal", "met", "against")


def measures() -> dict[str, Measure]:
    """All measurements of the modules in tests/bench, by name."""
    found: dict[str, Measure] = {}
    for module in pkgutil.iter_modules(bench.__path__):
        if not module.name.startswith("_"):
            offered = importlib.import_module(f"tests.bench.{module.name}")
            found |= getattr(offered, "MEASURES", {})
    return dict(sorted(found.items()))


def table(rows: list[Measurement]) -> str:
    met = {True: "yes", False: "NO", None: "-"}
    cells = [COLUMNS] + [
        (row.name, f"{row.value:.4g}", row.unit, row.goal or "-", met[row.met], row.against)
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def machine() -> str:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.machine()}, load {load}"


def run(chosen: dict[str, Measure]) -> tuple[list[Measurement], dict[str, str]]:
    """The rows, and the reason of each measurement that could not be made."""
    rows: list[Measurement] = []
    left_out: dict[str, str] = {}
    for name, measure in chosen.items():
        print(f"{name} …", flush=True)
        try:
            rows += measure()
        except NotMeasured as reason:
            left_out[name] = str(reason)
    return rows, left_out


def main() -> int:
    known = measures()
    parser = argparse.ArgumentParser(prog="make bench", description="Measure.")
    parser.add_argument("--only", choices=list(known), help="one measurement")
    only = parser.parse_args().only
    rows, left_out = run({only: known[only]} if only else known)
    print(f"\n{table(rows)}\n({machine()})")
    for name, reason in left_out.items():
        print(f"{name} was not measured: {reason}")
    OUTPUT.parent.mkdir(mode=0o700, exist_ok=True)
    OUTPUT.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
