"""Writes infra/cost/ec2_prices.json from a Go module's source: `python -m infra.cost.extract_prices ARCHIVE VERSION MODULE_DATE`

ARCHIVE is the zip that `go mod download -json github.com/aws/karpenter-provider-aws@VERSION` names. That module carries AWS's price list
for us-east-1 and no other region: its authors use it when an API cannot be asked, as we do.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MODULE: Final = "github.com/aws/karpenter-provider-aws"
SOURCE: Final = "pkg/providers/pricing/zz_generated.pricing_aws.go"
TARGET: Final = Path(__file__).parent / "ec2_prices.json"
# What Auto Mode may start for us: general, compute and memory families of generation 6 and later, x86, up to 8xlarge.
WANTED: Final = re.compile(r"^[cmr][6-9](a|i|i-flex)\.(large|xlarge|2xlarge|4xlarge|8xlarge)$")
_REGION: Final = re.compile(r'^\t"([a-z]{2}(?:-[a-z]+)+-\d)": \{$', re.MULTILINE)
_PRICE: Final = re.compile(r'"([a-z0-9-]+\.[a-z0-9]+)": ([0-9.]+)')
_DATE: Final = re.compile(r"^// generated at (\d{4}-\d\d-\d\d)", re.MULTILINE)


def extract_machine_prices(source: str) -> tuple[str, dict[str, dict[str, float]]]:
    """The day the list was read, and USD an hour by region and type, on demand, Linux. Raises ValueError when the form changed."""
    dated = _DATE.search(source)
    regions = list(_REGION.finditer(source))
    if dated is None or not regions:
        raise ValueError(f"{SOURCE} has another form than this program knows")
    ends = [*(match.start() for match in regions[1:]), len(source)]
    found = {
        match[1]: {kind: float(usd) for kind, usd in sorted(_PRICE.findall(source[match.end() : end])) if WANTED.match(kind)}
        for match, end in zip(regions, ends, strict=True)
    }
    return dated[1], found


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    if len(arguments) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    archive, version, released = arguments
    with zipfile.ZipFile(archive) as opened:
        source = opened.read(f"{MODULE}@{version}/{SOURCE}").decode()
    read_on, prices = extract_machine_prices(source)
    about = {"source": f"Go module {MODULE}@{version}, {SOURCE}", "released": released, "read_on": read_on, "unit": "USD an hour"}
    TARGET.write_text(json.dumps({"about": about, "on_demand": prices}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(map(len, prices.values()))} prices of {', '.join(prices)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
