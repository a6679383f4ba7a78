"""The `scan` of a candidate's data as YAML with comments."""

from __future__ import annotations

from gatekeeper.config.yaml_text import number, text
from gatekeeper.core.scan_spec import MergedClass, ScanSpec


def render_scan(scan: ScanSpec) -> tuple[str, ...]:
    """The lines of the section; reading them gives the same noun."""
    lines = [
        "scan:",
        f"  dimensions: {scan.dimensions}  # 2 makes images, 3 volumes",
    ]
    if scan.every > 1:
        lines.append(f"  every: {scan.every}  # every how many-th slice of a volume")
    if scan.window is not None:
        lines.append(f"  window: {_numbers(scan.window)}  # what becomes black and white; of a CT in Hounsfield units")
    if scan.window_of is not None:
        lines.append(f"  window: {scan.window_of}")
    if scan.spacing is not None:
        lines.append(f"  spacing: {_numbers(scan.spacing)}  # millimetres between pixels")
    if scan.size is not None:
        lines.append(f"  size: {_numbers(scan.size)}  # {'cut out or padded to' if scan.spacing else 'resized to'}")
    if scan.channel is not None:
        lines.append(f"  channel: {text(scan.channel)}")
    if scan.labels is not None:
        lines.append(f"  labels: {{{', '.join(map(_label, scan.labels))}}}  # other values are background")
    if scan.table is not None:
        lines.append(f"  table: {text(scan.table)}  # labels or owners")
    if scan.annotations_known:
        lines.append("  annotations_known: true  # text in the pixels may name the patient")
    return tuple(lines)


def _numbers(values: tuple[float, ...]) -> str:
    return f"[{', '.join(map(number, values))}]"


def _label(label: MergedClass) -> str:
    return f"{text(label.name)}: {_numbers(label.values)}"
