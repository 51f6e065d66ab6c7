"""However a load test is started and ended, it ends with the same files: Locust's own command, a master and a worker, the page, an interruption."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.__main__ import own_workers
from loadtests.measured import LoadTestResult
from tests.conftest import free_port
from tests.parts.loadtests.serving import serving

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(300)]
LOCUSTFILE = Path(__file__).parents[3] / "loadtests" / "locustfile.py"
LENIENT = """thresholds:
  - {requests: search, at_most_percent: 20, why: "a test sends few"}
  - {requests: "ask, first event", at_most_percent: 90, why: "judged where asks are sent"}
generator: {late_p99_ms: 10000}  # tests share their machine, and this is not about the generator
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def started(folder: Path, url: str, *options: str, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
    """Locust's own command, with every load option in the environment, as Locust's own options may be. `before`: words that start it."""
    (folder / "thresholds.yaml").write_text(LENIENT)
    (folder / "questions.jsonl").write_text('{"question": "How can I send an email?"}')
    named = {"LOCUST_HOST": url, "LOCUST_LOAD_KEYS": "key", "LOCUST_LOAD_OUT": str(folder / "runs"),
             "LOCUST_LOAD_THRESHOLDS": str(folder / "thresholds.yaml"), "LOCUST_LOAD_QUESTIONS": str(folder / "questions.jsonl")}  # fmt: skip
    command = [
        *before,
        sys.executable,
        "-m",
        "locust",
        "--locustfile",
        str(LOCUSTFILE),
        "--loglevel",
        "WARNING",
        "--only-summary",
        *options,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | named | env)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=150)
    return process.returncode, out, err


def results(folder: Path) -> list[LoadTestResult]:
    found = sorted((folder / "runs").glob("*/result.json"))
    assert all(path.with_name("index.html").is_file() for path in found)
    return [LoadTestResult.model_validate_json(path.read_bytes()) for path in found]


def test_plain_locust_with_users_rate_time_and_a_class_ends_with_a_result_and_its_own_files(tmp_path: Path, url: str) -> None:
    code, out, err = ended(started(tmp_path, url, "--headless", "-u", "4", "-r", "4", "-t", "5s", "HotKey", "--csv", str(tmp_path / "own"),
                                   "--html", str(tmp_path / "own.html")))  # fmt: skip
    (found,) = results(tmp_path)
    assert (code, found.outcome, found.shape) == (0, "kept", "none"), (out, err)
    assert set(found.totals) == {"search"}
    assert found.totals["search"].requests == found.generator.sent["search"] == found.generator.answered["search"]
    assert found.generator.cpu_percent > 0  # in a run of seconds as well
    assert (tmp_path / "own_stats.csv").is_file()
    assert (tmp_path / "own.html").is_file()


def test_the_shape_may_come_from_the_environment_and_tags_choose_tasks(tmp_path: Path, url: str) -> None:
    options = ("--headless", "--tags", "search")
    code, out, err = ended(started(tmp_path, url, *options, LOCUST_LOAD_SHAPE="smoke", LOCUST_LOAD_SECONDS="5"))
    (found,) = results(tmp_path)
    assert (code, found.shape) == (0, "smoke"), (out, err)
    assert set(found.generator.sent) == {"search"}


def test_every_option_of_ours_is_listed_with_its_variable() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "loadtests", "options"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    rows = [json.loads(line) for line in said.splitlines()]
    assert {"--load-shape", "--load-keys", "--load-repeat", "--load-host-header", "--load-history"} <= {
        row["option"] for row in rows
    }
    for row in rows:
        assert row["variable"] == "LOCUST_" + row["option"].removeprefix("--").replace("-", "_").upper()


def test_what_follows_two_dashes_goes_to_locust(tmp_path: Path, url: str) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "How can I send an email?"}')
    (tmp_path / "thresholds.yaml").write_text(LENIENT)
    command = [sys.executable, "-m", "loadtests", "run", "none", "--host", url, "--questions", str(tmp_path / "questions.jsonl"),
               "--thresholds", str(tmp_path / "thresholds.yaml"), "--out", str(tmp_path / "runs" / "one"),
               "--", "-u", "3", "-r", "3", "-t", "3s", "HotKey"]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"}, timeout=90, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    (found,) = results(tmp_path)
    assert (found.shape, found.plan[0].level, set(found.totals)) == ("none", 3, {"search"})


def test_an_address_inside_the_cluster_is_asked_by_the_service_s_own_name(tmp_path: Path, url: str) -> None:
    httpx.get(f"{url}/seen")
    options = ("--headless", "-u", "2", "-r", "2", "-t", "3s", "--load-host-header", "teal.example.com", "HotKey")
    code, out, err = ended(started(tmp_path, url, *options))
    assert code == 0, (out, err)
    assert httpx.get(f"{url}/seen").json()["hosts"] == ["teal.example.com"]


def test_first_events_are_booked_when_they_come_and_open_streams_are_counted_until_they_end(tmp_path: Path) -> None:
    with serving("--tokens", "400") as address:
        options = ("--headless", "-u", "3", "-r", "3", "-t", "7s", "Conversation")
        code, out, err = ended(started(tmp_path, address, *options))
    (found,) = results(tmp_path)
    assert code == 0, (out, err)
    first_begun = min(one.from_seconds for one in found.windows if "ask, first event" in one.counts)
    first_ended = min(one.from_seconds for one in found.windows if "ask, end" in one.counts)
    assert first_ended - first_begun >= 2  # a stream takes 4 s and more
    assert max(one.generator.streams for one in found.windows) == 3
    assert found.windows[-1].generator.streams == 0


def test_statistics_that_locust_resets_leave_the_ramp_out_and_lose_nothing(tmp_path: Path, url: str) -> None:
    options = ("--headless", "--reset-stats", "-u", "6", "-r", "3", "-t", "6s", "HotKey")
    code, out, err = ended(started(tmp_path, url, *options))
    (found,) = results(tmp_path)
    assert (code, found.outcome) == (0, "kept"), (out, err)
    warm = [one for one in found.windows if one.warm_up]
    assert 0 < sum(one.counts["search"].requests for one in warm if one.counts) < found.totals["search"].requests
    everything = sum(one.counts["search"].requests for one in found.windows if one.counts)
    assert everything == found.generator.sent["search"] == found.generator.answered["search"]


def test_failures_of_the_warm_up_are_in_no_total_and_no_list(tmp_path: Path) -> None:
    with serving("--refuse", "0.5") as address:
        options = ("--headless", "-u", "5", "-r", "5", "-t", "4s", "--load-warm-up", "2", "HotKey")
        ended(started(tmp_path, address, *options))
    (found,) = results(tmp_path)
    assert sum(one.count for one in found.failures) == found.totals["search"].failed > 0
    assert found.totals["search"].requests < found.generator.sent["search"]


def test_runs_of_one_name_at_the_same_time_have_folders_of_their_own(tmp_path: Path, url: str) -> None:
    options = ("--headless", "-u", "2", "-r", "2", "-t", "3s", "HotKey", "--load-name", "mine")
    for process in [started(tmp_path, url, *options) for _ in range(2)]:
        assert ended(process)[0] == 0
    assert len(results(tmp_path)) == 2
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"mine", "mine-2"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--load-scale", "0"), "argument --load-scale: it must be above 0, and is 0"),
        (("--load-shape", "smoke", "--load-seconds", "-4"), "argument --load-seconds: it must be above 0, and is -4"),
        (("--load-thresholds", "/nowhere.yaml"), "argument --load-thresholds: /nowhere.yaml: No such file or directory"),
        (("--load-headers", "nojson"), "argument --load-headers: it is no JSON"),
        (("--load-shape", "stairs"), "argument --load-shape: invalid choice: 'stairs'"),
        (("--load-shape", "step", "--load-seconds", "24"), "step has a stage of 3 s"),
        (("--load-shape", "step", "HotKey"), "step sends requests at their time and has no users of a class: leave HotKey away"),
        (("--tags", "nobody"), "No task of none has these tags"),
        (("--load-shapes", "wrong.yaml"), "mix: there is no Serchr; a shape of users mixes Searcher, Asker"),
    ],
)
def test_locust_s_own_command_refuses_what_cannot_be_measured_before_anything_is_sent(
    tmp_path: Path, url: str, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "wrong.yaml").write_text("shapes: {lunch: {kind: users, mix: {Serchr: 1}, stages: [{seconds: 9, level: 7}]}}")
    options = tuple(str(tmp_path / one) if one == "wrong.yaml" else one for one in options)
    code, _, err = ended(started(tmp_path, url, "--headless", *options))
    assert code == 2, err
    assert said in err
    assert not (tmp_path / "runs").exists()


def test_a_taken_port_for_metrics_is_refused_before_anything_is_sent(tmp_path: Path, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = ended(started(tmp_path, url, "--headless", "--load-metrics-port", str(port)))
    assert code == 2, err
    assert f"127.0.0.1:{port}: Address already in use" in err
    assert not (tmp_path / "runs").exists()


def test_a_shape_of_one_s_own_in_yaml_with_its_mix_needs_no_code(tmp_path: Path, url: str) -> None:
    shapes = tmp_path / "shapes.yaml"
    shapes.write_text(
        "shapes: {lunch: {kind: arrivals, arrivals: poisson, mix: {search: 1}, repeat: 2, warm_up_seconds: 1, stages: [{seconds: 2, level: 20}]}}"
    )
    code, out, err = ended(started(tmp_path, url, "--headless", "--load-shapes", str(shapes), "--load-shape", "lunch"))
    (found,) = results(tmp_path)
    assert (code, found.shape) == (0, "lunch"), (out, err)
    assert set(found.generator.sent) == {"search"}
    assert {one["says"].partition(":")[0] for one in found.verdicts} == {"search"}  # the asks' rows are about what is not sent
    assert found.goodput is not None
    assert found.goodput.repetitions == 2
    assert found.totals["search"].requests < found.generator.sent["search"]  # the warm-up is sent, and in no total


def test_a_master_and_a_worker_end_with_the_same_result_and_lose_nothing(tmp_path: Path, url: str) -> None:
    port = str(free_port())
    worker = started(tmp_path, url, "--worker", "--master-port", port)
    master = started(tmp_path, url, "--master", "--headless", "--expect-workers", "1", "--master-bind-port", port, "--master-bind-host", "127.0.0.1",
                     "--load-shape", "release", "--load-seconds", "5")  # fmt: skip
    code, out, err = ended(master)
    ended(worker)
    (found,) = results(tmp_path)
    assert (code, found.outcome, found.about["workers"]) == (0, "kept", 1), (out, err)
    asked = found.totals["search"].requests + found.totals["ask, first event"].requests
    assert asked == sum(found.generator.sent.values()) == sum(found.generator.answered.values())
    assert asked == pytest.approx(20 * 5, abs=20)
    assert found.generator.lag_ms
    assert found.generator.cpu_percent > 0  # the worker's own


def test_sigterm_in_the_middle_of_a_distributed_run_judges_what_was_measured(tmp_path: Path, url: str) -> None:
    master = started(tmp_path, url, "--headless", *own_workers(1), "--load-shape", "release")
    deadline = time.monotonic() + 60
    said = ""
    while '"running"' not in said and time.monotonic() < deadline:
        said = master.stdout.readline() if master.stdout else ""
    time.sleep(4)  # for a worker's report
    master.send_signal(signal.SIGTERM)
    code, out, err = ended(master)
    (found,) = results(tmp_path)
    assert (code, found.interrupted) == (130, True), (out, err)
    asked = found.totals["search"].requests + found.totals["ask, first event"].requests
    assert asked == sum(found.generator.sent.values()) > 20


def interrupted(
    folder: Path, url: str, number: int, moment: str, times: int = 1, more: tuple[str, ...] = ()
) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and JSON lines of a run that is sent a signal as soon as it says `moment`."""
    (folder / "thresholds.yaml").write_text(LENIENT)
    (folder / "questions.jsonl").write_text('{"question": "How can I send an email?"}')
    command = [sys.executable, "-m", "loadtests", "run", "release", "--host", url, "--out", str(folder / "runs" / "one"), "--seconds", "8",
               "--thresholds", str(folder / "thresholds.yaml"), "--questions", str(folder / "questions.jsonl"), *more]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"})
    rows: list[dict[str, Any]] = []
    for line in process.stdout or ():
        rows.append(json.loads(line))
        if times and rows[-1]["step"] == moment:
            for _ in range(times):
                process.send_signal(number)
                time.sleep(0.5)  # a person's second Ctrl-C
            times = 0
    return process.wait(60), rows


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 3)])
def test_an_interrupted_run_is_judged_reported_and_exit_130_however_often_it_is_told(
    tmp_path: Path, url: str, number: int, times: int
) -> None:
    code, rows = interrupted(tmp_path, url, number, "running", times)
    assert code == 130, rows
    (found,) = results(tmp_path)
    assert found.interrupted
    assert found.totals["search"].requests > 10
    assert rows[-1]["interrupted"]


def test_with_its_page_an_interrupted_run_is_judged_and_reported_as_well(tmp_path: Path, url: str) -> None:
    code, rows = interrupted(tmp_path, url, signal.SIGINT, "running", more=("--ui", "--", "--web-port", str(free_port())))
    (found,) = results(tmp_path)
    assert (code, found.interrupted, rows[-1]["step"]) == (130, True, "result"), rows


def test_an_interruption_while_the_report_is_written_spoils_nothing(tmp_path: Path, url: str) -> None:
    code, rows = interrupted(tmp_path, url, signal.SIGTERM, "measured")
    (found,) = results(tmp_path)
    assert (code, found.interrupted, rows[-1]["outcome"]) == (0, False, "kept"), rows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_before_anything_is_sent_says_so_and_leaves_no_folder(tmp_path: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the first question of the pre-flight, and says nothing
        command = [sys.executable, "-m", "loadtests", "run", "smoke", "--host", f"http://127.0.0.1:{silent.getsockname()[1]}",
                   "--out", str(tmp_path / "out")]  # fmt: skip
        # A shell lets its background jobs ignore SIGINT, and their children with them; whoever types Ctrl-C has a job in the foreground.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        silent.settimeout(60)
        connection, _ = silent.accept()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        connection.close()
    assert (process.returncode, err) == (130, "")
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert not (tmp_path / "out").exists()


def test_each_run_of_the_page_has_a_folder_of_its_own_and_the_page_hands_it_out(tmp_path: Path, url: str) -> None:
    port, metrics = free_port(), free_port()
    own = ("--web-host", "127.0.0.1", "--web-port", str(port), "--load-metrics-port", str(metrics))
    process = started(tmp_path, url, "--class-picker", *own)
    page = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(page)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
        for wrong, said in (
            ({"load_shape": "smoke", "load_seconds": "-4"}, "above 0"),
            ({"load_shape": "step", "load_seconds": "24"}, "3 s"),
        ):
            answer = httpx.post(f"{page}/swarm", data={"user_count": "1", "spawn_rate": "1", "host": url, **wrong}).json()
            assert not answer["success"]
            assert said in answer["message"]
        # "Default" is the first entry of the picker's choice of shape classes; a load shape chosen beside it counts all the same.
        for shape, users, picked in (("none", "3", "Default"), ("hot-key", "1", "Default"), ("hot-key", "1", "Table")):
            form = {"user_count": users, "spawn_rate": "3", "host": url, "load_shape": shape, "run_time": "60s"}
            form |= {"shape_class": picked, "user_classes": "CacheBuster"} if shape == "none" else {"shape_class": picked}
            assert httpx.post(f"{page}/swarm", data=form).json()["success"]
            time.sleep(3)
            for place in (page, f"http://127.0.0.1:{metrics}"):
                assert "load_requests_total{name=" in httpx.get(f"{place}/metrics").text
            httpx.post(f"{page}/stop", timeout=120)  # the report is written first, by another process
        found = results(tmp_path)
        assert [one.shape for one in found] == ["none", "hot-key", "hot-key"]
        assert all(set(one.generator.sent) == {"search"} for one in found)  # of the class that was picked, or of the shape's own
        # Each run has its own counts, and none of the run before.
        assert [one.generator.sent["search"] for one in found] == [one.totals["search"].requests for one in found]
        listed = httpx.get(f"{page}/reports").text
        names = [path.name for path in sorted((tmp_path / "runs").iterdir())]
        assert all(name in listed for name in names)
        assert httpx.get(f"{page}/reports/{names[0]}/result.json").json()["shape"] == "none"
        assert "<svg" in httpx.get(f"{page}/reports/{names[1]}/index.html").text
        assert httpx.get(f"{page}/reports/{names[1]}/../../thresholds.yaml").status_code == 404
    finally:
        process.terminate()
        ended(process)


def test_a_page_without_workers_says_so_in_the_place_of_a_run_that_never_begins(tmp_path: Path, url: str) -> None:
    port, workers = str(free_port()), str(free_port())
    options = (
        "--master",
        "--web-host",
        "127.0.0.1",
        "--web-port",
        port,
        "--master-bind-port",
        workers,
        "--master-bind-host",
        "127.0.0.1",
    )
    process = started(tmp_path, url, *options)
    try:
        assert process.stdout is not None
        assert "waiting for workers" in process.stdout.readline()
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        form = {"user_count": "1", "spawn_rate": "1", "host": url, "load_shape": "smoke"}
        answer = httpx.post(f"http://127.0.0.1:{port}/swarm", data=form).json()
    finally:
        process.terminate()
        ended(process)
    assert (answer["success"], answer["message"]) == (False, "No worker is connected: after a run they are back within 15 s")
    assert results(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("step", "--seconds", "24"), "step has a stage of 3 s"),
        (
            ("spike", "--seconds", "3"),
            "spike has a stage of 0.6 s, and Locust changes the load once a second: give it --seconds 5 or more",
        ),
        (("stairs",), "There is no shape 'stairs'. There are: smoke, "),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_sent_and_leaves_no_folder(
    tmp_path: Path, url: str, options: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, "-m", "loadtests", "run", *options, "--host", url, "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"}, timeout=60, check=False
    )
    assert done.returncode == 2
    assert said in json.loads(done.stdout.splitlines()[-1])["error"]["what"]
    assert not (tmp_path / "out").exists()


def test_a_short_spike_is_sent_as_it_was_asked_for_and_its_words_and_counts_agree(tmp_path: Path, url: str) -> None:
    """10, 50 and 10 a second for 2.8, 1.4 and 2.8 s are 126. Locust, which looks once a second, would give the spike 2 s."""
    httpx.get(f"{url}/seen")
    (tmp_path / "questions.jsonl").write_text('{"question": "How can I send an email?"}')
    (tmp_path / "thresholds.yaml").write_text(LENIENT)
    command = [sys.executable, "-m", "loadtests", "run", "spike", "--seconds", "7", "--host", url, "--questions", str(tmp_path / "questions.jsonl"),
               "--thresholds", str(tmp_path / "thresholds.yaml"), "--out", str(tmp_path / "runs" / "one")]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"LOCUST_LOAD_KEYS": "key"}, timeout=90, check=False
    )
    (found,) = results(tmp_path)
    assert (done.returncode, found.outcome) == (0, "kept"), (done.stdout, done.stderr)
    seen = httpx.get(f"{url}/seen").json()
    assert sum(found.generator.sent.values()) == seen["searched"] - 1 + len(
        seen["asked"]
    )  # one search was the look before the run
    assert sum(found.generator.sent.values()) == pytest.approx(126, abs=12)
    assert sum(found.totals[name].requests for name in ("search", "ask, first event")) == sum(found.generator.sent.values())
    said = {one.level: (one.outcome, one.why) for one in found.stages}[50]
    assert said == ("too few", "it has 1.4 s, and a stage's first 5 s only count for the run as a whole")
    assert "it has 1.4 s" in (tmp_path / "runs" / "one" / "index.html").read_text()


def test_too_few_file_descriptors_are_said_before_and_never_the_service_s_fault(tmp_path: Path, url: str) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "How can I send an email?"}')
    command = f"ulimit -n 80; exec {sys.executable} -m loadtests run soak --host {url} --out {tmp_path / 'out'} --questions {tmp_path / 'questions.jsonl'}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"LOCUST_LOAD_KEYS": "key"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "file descriptors in each process and the limit is 80" in json.loads(done.stdout.splitlines()[-1])["error"]["what"]


def limited(folder: Path, url: str, descriptors: int, *options: str) -> tuple[int, str]:
    """Locust's own command with so many open files at most; its exit code, and what it said."""
    process = started(folder, url, "--headless", *options, before=("bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"))
    code, out, err = ended(process)
    return code, out + err


def test_locust_s_own_users_are_held_against_the_limit_of_descriptors_as_well(tmp_path: Path, url: str) -> None:
    code, said = limited(tmp_path, url, 80, "-u", "100", "-r", "100", "-t", "5s")
    assert code == 2, said
    assert "none needs 164 file descriptors in each process and the limit is 80" in said
    assert not (tmp_path / "runs").exists()


def test_a_run_that_takes_its_last_descriptor_midway_is_judged_and_reported_as_the_generator_s_own_lack(tmp_path: Path) -> None:
    with serving("--slow-seconds", "8") as address:
        # 20 arrivals a second, each answered after 8 s: 160 connections, and descriptors for 90 at most.
        options = (
            "--load-shape",
            "release",
            "--load-seconds",
            "12",
            "--csv",
            str(tmp_path / "own"),
            "--html",
            str(tmp_path / "own.html"),
        )
        code, said = limited(tmp_path, address, 90, *options)
    assert code == 4, said
    (found,) = results(tmp_path)
    assert found.outcome == "void"
    assert "the generator could not send" in found.why
    assert "EMFILE: Too many open files" in found.why
    lacking = sum(found.generator.not_sent.values())
    assert lacking > 20
    asked = found.totals["search"].requests + found.totals["ask, first event"].requests
    assert asked == sum(found.generator.sent.values()) > 40
    assert asked + lacking == pytest.approx(20 * 12, abs=20)  # nothing that was due is missing
    assert (tmp_path / "own.html").is_file()


async def independently(url: str, per_second: int, seconds: float) -> list[float]:
    """Milliseconds of each search of an open loop that shares no code with ours: bare connections, latency from when each was due."""
    address, body = httpx.URL(url), b'{"query": "q", "top_k": 10}'
    head = f"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    began = time.perf_counter()

    async def one(due: float) -> float:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(head.encode() + body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(one(began + number / per_second) for number in range(int(per_second * seconds)))))


def test_open_loop_percentiles_agree_with_an_independent_client_within_a_tenth_at_100_a_second(tmp_path: Path) -> None:
    per_second, seconds = 100, 6.0
    with serving("--slow-seconds", "0.2", "--spread-seconds", "0.6") as other:
        shapes = tmp_path / "shapes.yaml"
        shapes.write_text(
            f"shapes: {{open: {{kind: arrivals, mix: {{search: 1}}, stages: [{{seconds: {seconds}, level: {per_second}}}]}}}}"
        )
        ended(started(tmp_path, other, "--headless", "--load-shapes", str(shapes), "--load-shape", "open"))
        ours = results(tmp_path)[0].totals["search"]
        theirs = sorted(asyncio.run(independently(other, per_second, seconds)))
    assert ours.requests == pytest.approx(per_second * seconds, rel=0.02)
    for share in (0.5, 0.9, 0.95):
        assert ours.percentile_ms(share) == pytest.approx(theirs[int(share * len(theirs)) - 1], rel=0.1), share


# In a process of its own, because Locust patches sockets: a run whose report cannot be started.
NO_REPORT = """
import sys
from types import SimpleNamespace as Made
from loadtests import locustfile
locustfile.REPORTER = ("/nowhere/reporter",)
given = Made(load_name="run", load_out=sys.argv[1], load_thresholds="", load_baseline="", load_history="")
environment = Made(parsed_options=given, shape_class=None)
runs = locustfile.RunRecorder.__new__(locustfile.RunRecorder)
runs.environment, runs.number, runs.writing, runs.about = environment, 1, False, lambda: "{}"
runs.kept = locustfile.descriptors.KeptDescriptors()
runs.recorder = Made(over=False, finish=lambda: Made(shape="none", interrupted=False, model_dump_json=lambda: "{}"))
try:
    runs.finish()
except FileNotFoundError:
    print("still writing" if runs.writing else "nobody waits")
"""


DEFAULTS = """
from locust import argument_parser
from loadtests import locustfile
print(argument_parser.default_args_dict() is argument_parser.default_args_dict())
"""


def test_a_worker_reads_locust_s_defaults_once_and_not_for_each_option_in_each_stage() -> None:
    """Else it sends nothing for a tenth of a second of CPU whenever the load changes, and a ramp, which changes each second, is void."""
    done = subprocess.run([sys.executable, "-c", DEFAULTS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_a_report_that_cannot_be_started_is_waited_for_by_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_REPORT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "nobody waits"
