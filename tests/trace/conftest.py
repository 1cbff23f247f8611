from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def thumb_programs() -> ModuleType:
    """The program generator beside this file."""
    path = Path(__file__).with_name("thumb_programs.py")
    spec = importlib.util.spec_from_file_location("thumb_programs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
