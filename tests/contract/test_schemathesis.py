"""schemathesis asks the running service all that its OpenAPI document allows, and what it forbids."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.contract.live import example_environment, live_service
from tests.stack import CREDENTIALS

ROOT: Final = Path(__file__).parents[2]
LONG: Final = re.compile(r"(\S{300})\S+")


@pytest.mark.timeout(240)
def test_the_service_keeps_its_contract(tmp_path: Path) -> None:
    """Whatever it is asked, the service answers as its document says, and refuses what that forbids."""
    with live_service(tmp_path, BINMIRROR_FRESH_WAIT="0.05") as service:
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            "--no-color",
            "--config-file",
            str(Path(__file__).parent / "schemathesis.toml"),
            "run",
            f"{service.url}/openapi.json",
        ]
        for name, value in CREDENTIALS.items():
            command += ["-H", f"{name}: {value}"]
        # In a process of its own: it does not work with this pytest.
        done = subprocess.run(
            command,
            env={**example_environment(service), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, LONG.sub(r"\1…", done.stdout + done.stderr)
    (tested,) = re.findall(r"Tested: +(\d+)", done.stdout)
    assert int(tested) >= 20
