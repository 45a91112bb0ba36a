"""Fetch Chart.js into static/vendor: `python tools/download_chartjs.py`, which needs `npm`.

Its tarball comes from the npm registry and has to have the SHA-512 that is written here. Of it the minified file and
the license are kept. The line that names a source map is taken out: the map is not kept, and Django refuses to collect
a file that names one that is not there.
"""

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.6.1"
SHA512 = "hJyniucsFmq//EvXYvJ6c6mahPoI3kaxdjVH8awTaJ/fDNWeSqqqArixMJWkWNN6fcYvPU3HneSANFNYtRi61g=="
KEPT = ("dist/chart.umd.min.js", "LICENSE.md")
TARGET = Path(__file__).parents[1] / "static" / "vendor" / "chart.js" / VERSION
SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=[^\n]*")


def main() -> None:
    """Fetch, check and write; ends with a sentence when the tarball is not the one that is expected."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"chart.js@{VERSION}", "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        keep(next(Path(folder).glob("*.tgz")), TARGET)


def keep(tarball: Path, target: Path) -> None:
    """Write what is kept of `tarball` to `target`; SystemExit when its SHA-512 is another one."""
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if digest != SHA512:
        sys.exit(f"{tarball.name} is not the Chart.js {VERSION} that is expected: its SHA-512 is {digest}")
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tarball) as archive:
        for name in KEPT:
            member = archive.extractfile(f"package/{name}")
            if member is None:
                sys.exit(f"{tarball.name} has no file {name}")
            (target / Path(name).name).write_bytes(SOURCE_MAP.sub(b"", member.read()))


if __name__ == "__main__":
    main()
