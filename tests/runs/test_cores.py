"""How many threads a training takes where nobody says."""

import os
from pathlib import Path

import pytest

from luthier.runs import cores


@pytest.mark.parametrize(
    ("limit", "wished", "threads"),
    [
        ("max 100000", "", 8),
        ("250000 100000", "", 3),
        ("1000 100000", "", 1),
        ("no limit at all", "", 8),
        ("max 100000", "4", 4),
        ("max 100000", "4,2", 4),
        ("250000 100000", "4", 3),
        ("max 100000", "0", 1),
        ("max 100000", "many", 8),
    ],
)
def test_a_container_s_limit_and_omp_num_threads_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, wished: str, threads: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    monkeypatch.setattr(cores, "CGROUP_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", wished)
    assert cores.available_threads() == threads
