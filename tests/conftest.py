from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two test processes with a thread per core each, for the small matrices of the estimator's fits,
# slow each other down many times over. Read when NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder with the published weights; a missing one is an error only in CI."""
    folder = Path(os.environ.get("M7SIM_MODELS", ROOT.parent / "shared" / "models"))
    if not (folder / "legacy_q7").is_dir():
        message = f"no models in {folder}; set M7SIM_MODELS"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
