"""What callers of the predictors notice: answers, waiting, deaths, limits."""

import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from luthier.errors import LuthierError, ModelBusy, ModelLoading, PredictionFailed
from luthier.predictors.client import PredictorsClient
from tests.predictors.processes import Predictors, is_alive, pids, wait_for

MakeRun = Callable[..., Path]
BEST = "checkpoints/best"


def test_outputs_come_in_the_order_of_the_inputs(predictors: Predictors, make_run: MakeRun) -> None:
    outputs = predictors.client.predict(make_run("a", answer=7), BEST, "image", [b"x", b"yyy", b"zz"])
    assert [output["values"] for output in outputs] == [[7.0, 1.0], [7.0, 3.0], [7.0, 2.0]]
    assert {output["checkpoint"] for output in outputs} == {"best"}


def test_a_bad_input_among_good_ones_gets_its_own_error(predictors: Predictors, make_run: MakeRun) -> None:
    good, bad, also_good = predictors.client.predict(make_run("a"), BEST, "image", [b"x", b"bad", b"y"])
    assert (bad["error"], bad["details"]) == (47104, "file ends early at byte 3")
    assert "values" in good and "values" in also_good


def test_more_inputs_than_fit_a_batch(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a")
    outputs = predictors.client.predict(run, BEST, "image", [b"x" * n for n in range(128)])
    assert [output["values"][1] for output in outputs] == list(range(128))
    assert (run / "batches").read_text().split() == ["64", "64"]


def test_requests_that_come_together_are_computed_together(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", seconds=0.2)
    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(predictors.client.predict, run, BEST, "image", [b"x" * n]) for n in range(32)]
        assert [future.result()[0]["values"][1] for future in asked] == list(range(32))
    assert len((run / "batches").read_text().split()) <= 4
    assert len(pids(run)) == 1


def test_options_reach_the_model_with_their_own_requests_alone(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", seconds=0.1)
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(predictors.client.predict, run, BEST, "text", [b"x"], options={"seed": n % 2})
            for n in range(8)
        ]
        assert [future.result()[0]["options"] for future in asked] == [{"seed": n % 2} for n in range(8)]
    assert predictors.client.predict(run, BEST, "text", [b"x"])[0]["options"] == {}


def test_bad_I2_predict_while_loading(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("slow", load_seconds=1.0, answer=3)
    with pytest.raises(ModelLoading) as raised:
        predictors.client.predict(run, BEST, "image", [b"x"], wait_seconds=0.2)
    assert raised.value.code == 21355 and "slow" in raised.value.details
    assert predictors.client.predict(run, BEST, "image", [b"x"])[0]["values"][0] == 3.0
    assert len(pids(run)) == 1, "the load went on after the first caller had gone"


def test_bad_I2_predict_while_all_slots_busy(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("busy", seconds=1.0)
    predictors.client.predict(run, BEST, "image", [b"x"])
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(predictors.client.predict, run, BEST, "image", [b"x"])
        time.sleep(0.3)
        with pytest.raises(ModelBusy) as raised:
            predictors.client.predict(run, BEST, "image", [b"x"], wait_seconds=0.2)
        assert raised.value.code == 21354
        assert first.result()


def test_the_model_used_least_recently_makes_room(predictors: Predictors, make_run: MakeRun) -> None:
    runs = [make_run(name) for name in "abc"]
    for run in (runs[0], runs[1], runs[0], runs[2]):  # b makes room for c
        predictors.client.predict(run, BEST, "image", [b"x"])
    wait_for(lambda: not is_alive(pids(runs[1])[0]))
    assert is_alive(pids(runs[0])[0]) and is_alive(pids(runs[2])[0])
    predictors.client.predict(runs[1], BEST, "image", [b"x"])
    assert len(pids(runs[1])) == 2


def test_more_models_than_slots_all_answer(predictors: Predictors, make_run: MakeRun) -> None:
    runs = [make_run(f"m{n}", answer=n, load_seconds=0.1) for n in range(5)]
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(predictors.client.predict, runs[n % 5], BEST, "image", [b"x"]) for n in range(20)]
        assert [future.result()[0]["values"][0] for future in asked] == [n % 5 for n in range(20)]


def test_a_corrupt_artefact_is_named_and_others_go_on(predictors: Predictors, make_run: MakeRun) -> None:
    good, corrupt = make_run("good"), make_run("corrupt", refuses="model.safetensors does not match its hash")
    predictors.client.predict(good, BEST, "image", [b"x"])
    with pytest.raises(PredictionFailed) as raised:
        predictors.client.predict(corrupt, BEST, "image", [b"x"])
    assert raised.value.code == 21313
    assert "corrupt/checkpoints/best" in raised.value.details and "model.safetensors" in raised.value.details
    assert str(corrupt.parent) not in raised.value.details, "no path of the server in an answer"
    assert predictors.client.predict(good, BEST, "image", [b"x"]) and len(pids(good)) == 1


def test_a_model_that_crashes_while_loading_says_why(predictors: Predictors, make_run: MakeRun) -> None:
    with pytest.raises(PredictionFailed, match=r"exit code 1.*no module named torch"):
        predictors.client.predict(make_run("a", crashes="no module named torch"), BEST, "image", [b"x"])


def test_a_model_can_be_repaired(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", refuses="damaged")
    with pytest.raises(PredictionFailed):
        predictors.client.predict(run, BEST, "image", [b"x"])
    (run / "behaviour.json").write_text("{}")
    deadline = time.monotonic() + 10
    while True:
        try:
            predictors.client.predict(run, BEST, "image", [b"x"])
            break
        except PredictionFailed:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_killed_process_is_replaced_unnoticed(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", answer=5)
    predictors.client.predict(run, BEST, "image", [b"x"])
    os.kill(pids(run)[0], signal.SIGKILL)
    assert predictors.client.predict(run, BEST, "image", [b"x"])[0]["values"][0] == 5.0
    assert len(pids(run)) == 2


def test_a_request_that_kills_processes_takes_no_other_down(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", seconds=0.2)
    predictors.client.predict(run, BEST, "image", [b"x"])
    with ThreadPoolExecutor(9) as threads:
        blocker = threads.submit(predictors.client.predict, run, BEST, "image", [b"x"])
        poison = threads.submit(predictors.client.predict, run, BEST, "image", [b"kill"])
        others = [threads.submit(predictors.client.predict, run, BEST, "image", [b"x"]) for _ in range(7)]
        assert all(future.result()[0]["values"] for future in [blocker, *others])
        with pytest.raises(ModelBusy, match=r"signal 9.*twice"):
            poison.result()


def test_p38_inference_survives_its_workers(predictors: Predictors, make_run: MakeRun) -> None:
    """1,000 mixed predicts under 10 kill -9 of model processes: each is answered, none by the wrong model."""
    runs = [make_run(f"m{n}", answer=n, seconds=0.005) for n in range(3)]
    stop = threading.Event()
    kills = 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while kills < 10 and not stop.is_set():
            time.sleep(0.15)
            alive = [pid for run in runs for pid in pids(run) if is_alive(pid)]
            if alive:
                os.kill(alive[kills % len(alive)], signal.SIGKILL)
                kills += 1

    def ask(n: int) -> str:
        model = 2 if n % 100 == 50 else n % 2  # now and then one for which another must make room
        try:
            answer = predictors.client.predict(runs[model], BEST, "image", [b"x"], wait_seconds=10)
        except (ModelBusy, ModelLoading):
            return "again"
        return "right" if answer[0]["values"][0] == model else "wrong"

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(1000)))
        while kills < 10:
            answers += pool.map(ask, range(30))
    stop.set()
    killer.join()
    assert kills == 10
    assert answers.count("wrong") == 0
    assert answers.count("right") + answers.count("again") == len(answers) >= 1000
    assert answers.count("right") >= 0.9 * len(answers)


def test_kill_9_of_the_predictors_ends_their_models(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a")
    predictors.client.predict(run, BEST, "image", [b"x"])
    predictors.process.kill()
    predictors.process.wait()
    wait_for(lambda: not is_alive(pids(run)[0]))


def test_the_client_outlives_a_restart(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", answer=2)
    predictors.client.predict(run, BEST, "image", [b"x"])
    predictors.process.kill()
    predictors.process.wait()
    assert not predictors.client.alive()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(predictors.client.predict, run, BEST, "image", [b"x"])
        predictors.start()
        assert asked.result()[0]["values"][0] == 2.0
    assert predictors.client.alive()


def test_without_a_predictors_process_the_error_says_so(tmp_path: Path) -> None:
    client = PredictorsClient(tmp_path / "predictors.sock")
    with pytest.raises(ModelLoading, match="luthier serve") as raised:
        client.predict(tmp_path, BEST, "image", [b"x"])
    assert str(tmp_path) not in raised.value.details


def test_sigterm_finishes_what_was_begun(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a", seconds=1.0)
    predictors.client.predict(run, BEST, "image", [b"x"])
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(predictors.client.predict, run, BEST, "image", [b"xx"])
        time.sleep(0.3)
        predictors.process.terminate()
        assert asked.result()[0]["values"][1] == 2.0
    assert predictors.process.wait(10) == 0
    assert not predictors.socket.exists() and not is_alive(pids(run)[-1])


def test_only_this_user_may_open_the_socket(predictors: Predictors) -> None:
    assert stat.S_IMODE(predictors.socket.stat().st_mode) == 0o600


def test_a_long_data_folder_has_a_socket_too(tmp_path: Path, make_run: MakeRun) -> None:
    deep = tmp_path / ("a folder with a long name " * 4) / ("and another " * 8)
    server = Predictors(deep)
    try:
        assert server.client.predict(make_run("a", answer=4), BEST, "image", [b"x"])[0]["values"][0] == 4.0
    finally:
        server.end()


def test_junk_on_the_socket_harms_nobody(predictors: Predictors, make_run: MakeRun) -> None:
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(predictors.socket))
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(5)
            while connection.recv(1024):
                pass
    assert predictors.client.predict(make_run("a"), BEST, "image", [b"x"])


def test_a_second_predictors_process_is_refused(predictors: Predictors) -> None:
    with pytest.raises(AssertionError):
        Predictors(predictors.data)
    assert predictors.client.alive()


def test_a_deleted_run_gives_its_memory_back(predictors: Predictors, make_run: MakeRun) -> None:
    run = make_run("a")
    predictors.client.predict(run, BEST, "image", [b"x"])
    pid = pids(run)[0]
    run.rename(run.with_name("gone"))
    wait_for(lambda: not is_alive(pid), seconds=12)


def test_errors_are_luthier_errors() -> None:
    assert issubclass(ModelBusy, LuthierError) and ModelBusy.http_status == ModelLoading.http_status == 503
