"""`make audit`: the pinned packages against the OSV database of known vulnerabilities (https://osv.dev, API v1).

Exit status 1 when one is known and not in `docs/advisories.txt`, 0 when none is, or when the database is out of reach:
then nothing was checked, and it says so.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
API = "https://api.osv.dev/v1/querybatch"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(root: Path) -> list[tuple[str, str]]:
    """(package, version) of every lock file, each once, in order."""
    files = [*root.glob("requirements*.txt"), *root.glob("bench/*.txt")]
    return sorted({(name.lower(), version) for file in files for name, version in _PIN.findall(file.read_text())})


def accepted(root: Path) -> dict[str, str]:
    """Advisories that do not concern us: id -> why, a line each in `docs/advisories.txt`."""
    file = root / "docs" / "advisories.txt"
    lines = [line.partition("#")[0].split(None, 1) for line in file.read_text().splitlines()] if file.exists() else []
    return {parts[0]: parts[1].strip() for parts in lines if len(parts) == 2}


def ask(found: list[tuple[str, str]], api: str = API) -> list[tuple[str, str, str]]:
    """(package, version, advisory) of each that is known.

    Raises:
        OSError: the database did not answer.
        ValueError: with something else than an answer to our question.
    """
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in found]
    request = urllib.request.Request(
        api, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        results: Any = json.load(answer).get("results")
    if not isinstance(results, list) or len(results) != len(queries):
        raise ValueError("it is not an answer for each package")
    return [
        (name, version, advisory["id"])
        for (name, version), result in zip(found, results, strict=True)
        for advisory in result.get("vulns", [])
    ]


def main(root: Path = ROOT, api: str = API) -> int:
    """Print what is known."""
    checked = pins(root)
    try:
        known = ask(checked, api)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        print(f"audit: NOT checked: the advisory database did not answer ({type(error).__name__})")
        return 0
    left = accepted(root)
    for name, version, advisory in known:
        print(
            f"{name} {version}: https://osv.dev/{advisory}"
            + (f" (accepted: {left[advisory]})" if advisory in left else "")
        )
    open_ones = [one for one in known if one[2] not in left]
    print(f"audit: {len(checked)} packages checked, {len(open_ones)} advisories to deal with")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
