"""What a process weighs: memory, open files and threads, to see that none of them grows while something is away."""

from collections.abc import Mapping
from typing import NamedTuple

import psutil


class Weight(NamedTuple):
    """What a process holds."""

    memory: float
    """Resident, in MB."""
    files: int
    threads: int

    def gained(self, before: "Weight") -> "Weight":
        """Return by how much it is more than before."""
        return Weight(self.memory - before.memory, self.files - before.files, self.threads - before.threads)


def weigh(processes: Mapping[str, psutil.Process]) -> dict[str, Weight]:
    """Weigh processes."""
    return {
        name: Weight(process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())
        for name, process in processes.items()
    }


def gains(before: Mapping[str, Weight], after: Mapping[str, Weight]) -> dict[str, Weight]:
    """Return what each has gained."""
    return {name: after[name].gained(weight) for name, weight in before.items()}
