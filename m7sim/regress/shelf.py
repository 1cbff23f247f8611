"""Where baselines are: beside the tests, in another folder, in one file, or in a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from m7sim.errors import InputError
from m7sim.regress.baseline import DEFAULT_FOLDER, Baseline

GIT = "git:"


class Shelf:
    """Finds and keeps the baselines of test modules.

    Parameters
    ----------
    place
        "" for the folder beside each test module; the path of a folder that mirrors ``root``; a
        ``.json`` file for a single module; or ``git:REVISION``: beside the modules, as committed.
    root
        Root of the tests.
    folder
        Name of the folder beside the modules.
    """

    def __init__(self, place: str, root: Path, *, folder: str = DEFAULT_FOLDER) -> None:
        self.place, self.root, self.folder = place, root, folder
        self._kept: dict[Path, Baseline] = {}

    @property
    def writable(self) -> bool:
        return not self.place.startswith(GIT)

    def path(self, module: Path) -> Path:
        """Return the file of a module's baseline."""
        name = f"{module.stem}.json"
        if not self.place or not self.writable:
            return module.parent / self.folder / name
        place = Path(self.place).absolute()
        if place.suffix == ".json":
            return place
        try:
            below = module.parent.relative_to(self.root)
        except ValueError:
            below = Path()
        return place / below / name

    def of(self, module: Path) -> Baseline:
        """Return the baseline of a module; see `Baseline.load` for the errors."""
        if module not in self._kept:
            path = self.path(module)
            self._kept[module] = Baseline.load(path) if self.writable else self._committed(path)
        return self._kept[module]

    def _committed(self, path: Path) -> Baseline:
        revision = self.place.removeprefix(GIT)
        shown = Path(f"{path}@{revision}")
        command = ["git", "-C", str(path.parent.parent), "show", f"{revision}:./{self.folder}/"]
        try:
            known = subprocess.run(
                [*command[:3], "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if known.returncode:
                raise InputError(
                    f"git knows no commit {revision!r} here",
                    where=str(path.parent.parent),
                    do="In CI, fetch it first: git fetch origin main",
                )
            command[-1] += path.name
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise InputError("git is not on the path", do="Give a folder instead") from error
        return Baseline.parse(done.stdout, shown) if done.returncode == 0 else Baseline(shown)
