"""Switches the faults of a detector on and off, and tells what it noted; the other side of `faulty_detector.py`."""

from pathlib import Path

from maskwatch.settings import Settings
from tests.support.stage import MALLOC, Stage

SCRIPT = Path(__file__).with_name("faulty_detector.py")


class Faulty:
    """A detector's faults.

    Parameters
    ----------
    folder
        Made if need be; one for each detector, kept by its next process.
    slow_s
        Every inference call takes so much longer.
    undefended
        The defence that is taken out, for positive controls.
    """

    def __init__(self, folder: Path, *, slow_s: float = 0, undefended: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.variables = {"FAULTS": str(folder), "SLOW_S": str(slow_s), "UNDEFENDED": undefended, **MALLOC}
        self._folder = folder

    def stage(self, settings: Settings) -> Stage:
        """Make the detector, not yet started."""
        return Stage("detector", settings, script=SCRIPT, **self.variables)

    def hang(self, seconds: float) -> None:
        """Let one call of inference hang for so long."""
        self._put("hang", seconds)

    @property
    def will_hang(self) -> bool:
        """Whether that call is still to come."""
        return (self._folder / "hang").exists()

    def set_clock(self, seconds: float) -> None:
        """Let its wall clock be off by so much."""
        self._put("clock", seconds)

    @property
    def looking(self) -> bool:
        """Whether it looks at pictures, or was killed while it did."""
        return (self._folder / "looking").exists()

    def begun(self) -> set[tuple[int, int]]:
        """Return partition and offset of each frame that it began with."""
        return {(int(line.split()[0]), int(line.split()[1])) for line in self._lines("begun")}

    @property
    def assignments(self) -> int:
        """How often its group has given it partitions."""
        return len(self._lines("assigned"))

    def _lines(self, name: str) -> list[str]:
        file = self._folder / name
        return file.read_text().splitlines() if file.exists() else []

    def _put(self, name: str, seconds: float) -> None:
        # Renamed into place, so that nobody reads half a number.
        fresh = self._folder / f"{name}.new"
        fresh.write_text(str(seconds))
        fresh.replace(self._folder / name)
