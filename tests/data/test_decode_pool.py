"""The helper process: what hostile files do to it, and what they do not do to us."""

import os
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.data.decode_pool import DecodePool, DecodeProcess
from tests.data.pictures import endless_gif, flat_png, of_every_format, png_header

LINUX = sys.platform == "linux"


@pytest.fixture
def helper() -> Iterator[DecodeProcess]:
    with DecodeProcess(seconds=20) as process:
        yield process


def children() -> set[int]:
    found = (Path("/proc/self/task") / str(thread.native_id) / "children" for thread in threading.enumerate())
    return {int(pid) for file in found if file.exists() for pid in file.read_text().split()}


def write(folder: Path, **files: bytes) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_a_good_picture_of_each_format(helper: DecodeProcess, tmp_path: Path) -> None:
    for path in write(tmp_path, **of_every_format()):
        found = helper.check(path)
        assert (found.ok, found.code, found.width, found.height, found.format) == (True, 0, 64, 48, path.name)


def test_results_come_in_order_with_bad_files_between(helper: DecodeProcess, tmp_path: Path) -> None:
    good, cut = of_every_format()["PNG"], of_every_format()["PNG"][:100]
    paths = [write(tmp_path, **{f"{n}": cut if n % 3 == 0 else good})[0] for n in range(200)]
    results = helper.check_many(paths)
    assert [result.ok for result in results] == [n % 3 != 0 for n in range(200)]
    assert {result.details for result in results if not result.ok} == {"file ends early at byte 100"}
    assert helper.deaths == 0


def test_a_file_that_is_gone_is_named_without_its_path(helper: DecodeProcess, tmp_path: Path) -> None:
    found = helper.check(tmp_path / "gone.png")
    assert not found.ok and "No such file" in found.details and str(tmp_path) not in found.details


@pytest.mark.skipif(not LINUX, reason="macOS has no limit on address space; there the time limit protects alone")
def test_bad_D5_a_picture_over_the_memory_limit_is_refused_and_the_next_is_fine(tmp_path: Path) -> None:
    bomb, good = write(tmp_path, bomb=flat_png(9000, 9000, color=2), good=of_every_format()["PNG"])
    with DecodeProcess(memory_mb=400, seconds=20) as small:
        first, second = small.check_many([bomb, good])
    assert (first.ok, first.code) == (False, 47104) and "memory" in first.details
    assert second.ok


def test_a_file_that_takes_too_long_is_refused_and_the_rest_go_on(tmp_path: Path) -> None:
    good = write(tmp_path, good=of_every_format()["PNG"])[0]
    os.mkfifo(tmp_path / "pipe")  # reading it never ends
    with DecodeProcess(seconds=0.5) as quick:
        assert quick.check(good).ok
        before = time.monotonic()
        results = quick.check_many([good, tmp_path / "pipe", good, good])
        assert time.monotonic() - before < 10
        assert quick.deaths == 1
    assert [result.ok for result in results] == [True, False, True, True]
    assert results[1].code == 47104 and "longer than 0.5 s" in results[1].details


@pytest.mark.skipif(not LINUX, reason="the helper's id is looked up in /proc")
def test_bad_D16_a_file_over_which_two_helpers_die_is_refused(helper: DecodeProcess, tmp_path: Path) -> None:
    good = write(tmp_path, good=of_every_format()["PNG"])[0]
    os.mkfifo(tmp_path / "pipe")  # the helper waits over it until it is killed
    others = children()
    helper.check(good)
    killer = threading.Thread(target=_kill_twice, args=(others,))
    killer.start()
    results = helper.check_many([good, tmp_path / "pipe", good])
    killer.join()
    assert [result.ok for result in results] == [True, False, True]
    assert results[1].code == 47104 and "crashed" in results[1].details
    assert helper.deaths == 2


def _kill_twice(others: set[int]) -> None:
    killed: set[int] = set()
    while len(killed) < 2:
        time.sleep(1.0)
        for pid in children() - others - killed:
            os.kill(pid, signal.SIGSEGV)
            killed.add(pid)


def test_a_helper_killed_once_costs_no_file(helper: DecodeProcess, tmp_path: Path) -> None:
    good = write(tmp_path, **dict.fromkeys(map(str, range(2000)), of_every_format()["PNG"]))
    others = children()
    helper.check(good[0])
    (pid,) = children() - others
    threading.Timer(0.05, os.kill, (pid, signal.SIGKILL)).start()
    assert all(result.ok for result in helper.check_many(good))


def test_a_helper_that_died_while_idle_costs_nothing_but_its_restart(helper: DecodeProcess, tmp_path: Path) -> None:
    good = write(tmp_path, good=of_every_format()["PNG"])[0]
    others = children()
    helper.check(good)
    for pid in children() - others:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    assert helper.check(good).ok


def test_p25_a_hundred_bombs_cost_a_bounded_amount(tmp_path: Path) -> None:
    kinds = {
        "square": flat_png(9000, 9000),
        "large": png_header(13000, 13000),
        "larger": png_header(30000, 30000),
        "largest": png_header(2**31 - 1, 2**31 - 1),
        "frames": endless_gif(10_000),
        "spider": struct.pack(">27f", *([1.0] * 27)) + b"\0" * 1000,
        "tiff": b"II*\0\x08\0\0\0\xff\xff" + b"\x00\x01\x04\0\xff\xff\xff\xff\0\0\0\0" * 500,
        "zeros": b"\0" * 1_000_000,
    }
    paths = write(tmp_path, **kinds)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with DecodePool(seconds=20) as pool:
        results = list(pool.check_many([paths[n % len(paths)] for n in range(100)]))
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (1024 if LINUX else 1 << 20)
    assert grown_mb < 200
    verdicts = {path.name: result for path, result in zip(paths, results, strict=False)}
    assert {name for name, result in verdicts.items() if result.ok} == {"square", "frames"}
    assert all(result.code in (30101, 47104) and result.details for result in results if not result.ok)


def test_a_pool_keeps_the_order_and_is_quick(tmp_path: Path) -> None:
    png = of_every_format()["PNG"]
    paths = [write(tmp_path, **{f"{n:04}": png if n != 700 else png[:-1]})[0] for n in range(1000)]
    with DecodePool() as pool:
        list(pool.check_many(paths[:64]))
        before = time.monotonic()
        results = list(pool.check_many(paths))
        assert len(results) / (time.monotonic() - before) > 500  # a second; thousands on a quiet machine
    assert [n for n, result in enumerate(results) if not result.ok] == [700]


def test_the_helper_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUTHIER_SECRET", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    others = children()
    with DecodeProcess(seconds=20) as process:
        process.check(write(tmp_path, good=of_every_format()["PNG"])[0])
        for pid in children() - others:
            assert b"SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_helper_ends_with_its_owner(tmp_path: Path) -> None:
    good = write(tmp_path, good=of_every_format()["PNG"])[0]
    others = children()
    process = DecodeProcess(seconds=20)
    process.check(good)
    pids = children() - others
    process.close()
    assert not children() & pids
    assert process.check(good).ok, "and starts again when asked again"
    process.close()
