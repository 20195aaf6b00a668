"""The command line before any city: help, doctor, and wrong calls."""

import contextlib
import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from stforecast.cli import cli, main
from stforecast.cli.times import issue_time, issue_times
from stforecast.config import load
from stforecast.config.presets import PRESETS
from stforecast.config.sections import Unit
from stforecast.cube.steps import Step, step_of
from stforecast.errors import ArtefactError
from stforecast.files import write_json
from stforecast.pipeline.run import Run

VERBS = sorted(cli.commands)
HEAVY = ("torch", "pandas", "numpy", "sklearn", "matplotlib", "pydantic", "yaml", "stforecast.pipeline.stages")


def call(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a call."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def test_help_answers_at_once_without_heavy_imports() -> None:
    code = (
        "import sys; from stforecast.cli import cli; cli(['--help'], standalone_mode=False); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    took = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
        assert done.stderr.strip() == "[]"
    assert min(took) < 0.5
    assert {*VERBS} <= {*done.stdout.split()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    code, out, err = call(verb, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: stforecast {verb}" in out
    assert len(out.split("\n\n")[1].strip()) > 30


def test_the_verbs_are_those_promised() -> None:
    assert {*VERBS} >= {"run", "ingest", "build", "train", "evaluate", "forecast", "doctor"}


def test_without_arguments_it_shows_the_help() -> None:
    code, out, err = call()
    assert (code, err) == (0, "")
    assert out == call("--help")[1]
    assert "Exit codes" in out


def test_version() -> None:
    assert call("--version")[1].startswith("stforecast, version ")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["run"], 2, "Missing argument 'CONFIG'"),
        (["run", "quickstart", "--nix"], 2, "No such option"),
        (["run", "gotham"], 3, "gotham: no such configuration"),
        (["run", "quickstart", "grid.resolution"], 3, "expected dotted.key=value"),
        (["doctor", "gotham"], 3, "gotham: no such configuration"),
        (["forecast", "quickstart", "--issue-time", "2022-05-01T06:30Z"], 2, "'2022-05-01T06:30Z' is not a whole hour"),
        (["forecast", "quickstart", "--issue-time", "2022-05-01T06:00"], 2, "with Z or an offset"),
        (["forecast", "quickstart", "--from", "2022-05-01T06:00Z", "--to", "2022-05-02"], 2, "with Z or an offset"),
        (["map", "quickstart", "--issue-time", "2022-05-01 06:00"], 2, "write for example 2024-09-30T06:00Z"),
        (["forecast", "quickstart", "--issue-time", "soon"], 2, "'soon' is not a time"),
        (["forecast", "quickstart", "--issue-time", "01/07/2022"], 2, "'01/07/2022' is not a time"),
        (["forecast", "quickstart", "--issue-time", ""], 2, "'' is not a time"),
        (["forecast", "quickstart", "--issue-time", "NaT"], 2, "'NaT' is not a time"),
        (["forecast", "quickstart", "--from", "2022-05-01"], 2, "--from and --to go together"),
        (["forecast", "quickstart", "--issue-time", "2022-05-01", "--to", "2022-05-02"], 2, "goes without --from"),
        (["forecast", "quickstart", "--from", "2022-05-02T06Z", "--to", "2022-05-01T06Z"], 2, "lies before --from"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], code: int, said: str) -> None:
    left, out, err = call(*arguments)
    assert (left, out) == (code, "")
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "20240930T060000Z",
        "2024-09-30T06:00Z",
        "2024-09-30 06:00Z",
        "2024-09-30T00:00-06:00",
    ],
)
def test_an_instant_is_in_utc_whatever_its_offset(text: str) -> None:
    assert issue_time(Step(), text).isoformat() == "2024-09-30T06:00:00+00:00"


@pytest.mark.parametrize(
    ("unit", "zone", "first", "last", "hours"),
    [
        ("day", "America/Denver", "2024-11-02", "2024-11-04", ["02T06", "03T06", "04T07"]),
        ("day", "America/Denver", "2024-11-02T06:00Z", "2024-11-04", ["02T06", "03T06", "04T07"]),
        ("day", "Africa/Cairo", "2024-04-25", "2024-04-27", ["24T22", "25T22", "26T21"]),  # no midnight on the 26th
        ("month", "Europe/London", "2024-02", "2024-04", ["01T00", "01T00", "31T23"]),
        ("hour", "America/Denver", "2024-11-02T06:00Z", "2024-11-04T06:00Z", ["02T06", "03T06", "04T06"]),
    ],
)
def test_a_batch_has_every_local_day_or_month(unit: Unit, zone: str, first: str, last: str, hours: list[str]) -> None:
    found = issue_times(step_of(unit, zone), None, first, last)
    assert found is not None
    assert [f"{time:%dT%H}" for time in found] == hours


@pytest.mark.parametrize(
    ("unit", "text", "said"),
    [
        ("day", "2024-02-30", "is not a day or a time with Z or an offset from UTC; write for example 2024-09-30"),
        ("day", "2024-09", "is not a day or a time"),
        ("day", "2024-09-30T07:00Z", "is not the beginning of a day in America/Denver"),
        ("month", "2024-13", "is not a month or a time"),
        ("month", "2024-09-02T06:00Z", "is not the beginning of a month in America/Denver; write for example 2024-09"),
        ("hour", "2024-09-30", "with Z or an offset"),
    ],
)
def test_what_is_no_step_is_no_issue_time(unit: Unit, text: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(said)):
        issue_time(step_of(unit, "America/Denver"), text)


def test_doctor_tells_versions_device_memory_and_disk() -> None:
    code, out, _ = call("doctor")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["python", "packages", "device", "memory", "disk"]
    assert "missing" not in out


def test_doctor_of_a_city_without_data(tmp_path_factory: pytest.TempPathFactory) -> None:
    code, out, _ = call("doctor", "denver", f"root={tmp_path_factory.mktemp('nothing')}")
    assert code == 0
    assert out.count("(empty)") == 5
    assert "known after `stforecast build`" in out


def test_doctor_counts_the_files_of_the_source_wherever_they_are(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("")
    for given, said in ((f"{tmp_path}/*.csv", "2 files"), (f"{tmp_path}/a.csv", "1 file"), ("nowhere.csv", "empty")):
        _, out, _ = call("doctor", "denver", f"root={tmp_path}", f"source.path={given}")
        assert f"\nbronze     {given} ({said})\n" in out
    _, out, _ = call("doctor", "denver", f"root={tmp_path}", "source.path=[data/a.csv, data/b.csv]")
    assert f"\nbronze     {tmp_path}/data/a.csv, {tmp_path}/data/b.csv (empty)\n" in out


def test_doctor_lists_every_key() -> None:
    code, out, _ = call("doctor", "--keys")
    assert code == 0
    for key in (
        *("root", "source.path", "weather.path", "grid.resolution", "grid.min_events", "split.train"),
        *("split.validation", "training.max_epochs", "evaluation.forecasters", "known_time", "seed"),
    ):
        assert f"\n{key} = " in f"\n{out}"


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = call("ingest", "quickstart", f"root={tmp_path / 'file'}")
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert f"{tmp_path / 'file'}/data/quickstart/locks: cannot be read or written: Not a directory. Correct" in err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/data"), "/srv/data: cannot be read or written: Perm"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: cannot be written: No space left on device. Make"),
        (OSError(errno.ENOSPC, "No space left on device", "/srv/data"), "/srv/data: cannot be written: No space left"),
        (OSError("Error reading bytes. Detail: [errno 5] Input/output error"), "cannot be read or written: Input/out"),
    ],
)
def test_what_the_system_refuses_is_the_users_to_mend(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stforecast.cli.commands.stages_of", raising(error))
    code, out, err = call("build", "quickstart")
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert said in err


def test_a_library_of_an_extra_that_is_not_installed_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")
    monkeypatch.setattr("stforecast.cli.commands.stages_of", raising(absent))
    code, out, err = call("build", "quickstart")
    assert (code, out) == (3, "")
    assert err == "error: sqlalchemy: not installed. Run `pip install 'stforecast[serve]'`.\n"


def test_an_error_of_a_librarys_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stforecast.cli.commands.stages_of", raising(OSError("of no system")))
    with pytest.raises(OSError, match="of no system"):
        main(["build", "quickstart"])


def raising(error: OSError) -> Callable[..., None]:
    """A function that fails with `error`, whatever it is given."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_run_names_the_forecasters_that_it_holds(tmp_path: Path) -> None:
    for name in ("gcrn", "climatology"):
        write_json(tmp_path / name / "calibration.json", {})
    with pytest.raises(ArtefactError, match="holds no nosuch; the forecasters in it: climatology, gcrn"):
        Run(tmp_path).open("nosuch", load("quickstart"))


def test_init_writes_a_configuration_that_ingest_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kinds, rows = ("THEFT", "ASSAULT"), []
    for n in range(120):
        rows.append(
            f"2024-03-{n % 28 + 1:02d} {n * 7 % 24:02d}:{n * 13 % 60:02d},{kinds[n % 2]},{39.7 + n / 1e4},-104.9{n}"
        )
    Path("Mi Ciudad.csv").write_text("\n".join(["x1,x2,x3,x4", *rows]) + "\n")
    code, out, err = call("init", "Mi Ciudad.csv")
    assert (code, err) == (0, "")
    assert out.count("→") == 10
    assert "ingest makes 120 events of it (person 60, property 60) and refuses 0 rows" in out
    assert "next: stforecast run configs/mi_ciudad.yaml" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Mi Ciudad.csv", "configs"]
    assert call("ingest", "configs/mi_ciudad.yaml")[0] == 0
    written = Path("configs/mi_ciudad.yaml").read_text()
    code, _, err = call("init", "Mi Ciudad.csv")
    assert code == 3
    assert "configs/mi_ciudad.yaml: is there already. Give another name with --city" in err
    assert Path("configs/mi_ciudad.yaml").read_text() == written
    assert call("init", "Mi Ciudad.csv", "--city", "other")[0] == 0


def test_init_takes_months_and_refuses_absent_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("street.csv").write_text("Month,Crime type,Longitude,Latitude\n" + "2019-01,Burglary,0.14,51.58\n" * 3)
    assert call("init", "street.csv")[0] == 0
    assert "step: month" in Path("configs/street.yaml").read_text()
    code, _, err = call("init", "absent.csv")
    assert code == 4
    assert "absent.csv names no file" in err


def test_init_knows_cities_by_name_unless_a_file_bears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("init", "--list")
    assert (code, len(out.splitlines())) == (0, len(PRESETS))
    assert "seattle " in out
    assert "never tried live" in out
    assert call("init")[0] == 2
    assert call("init", "toronto", "--url", "https://data.example.org")[0] == 2
    code, _, err = call("init", "toronto")  # has no table, so that no network is asked
    assert code == 7
    assert "Download the reports by hand from https://data.torontopolice.on.ca, then `stforecast init FILE`" in err
    code, _, err = call("init", "new", "yorck")
    assert code == 3
    assert "new yorck: neither a file nor a city whose publisher is known. Did you mean new_york?" in err
    Path("toronto").mkdir()
    Path("toronto/a.csv").write_text("Month,Crime type,Longitude,Latitude\n" + "2019-01,Burglary,0.14,51.58\n" * 3)
    code, out, _ = call("init", "toronto")
    assert code == 0
    assert "toronto: is read as the file or folder of that name; for the city, call it from another folder" in out


def shell(line: str, folder: Path, **surroundings: str) -> subprocess.CompletedProcess[bytes]:
    """A line of the shell in which `$S` is the command line."""
    line = line.replace("$S", f"{sys.executable} -m stforecast")
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    surroundings = {**os.environ, "PYTHONPATH": paths, **surroundings}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=surroundings, capture_output=True, check=False)


@pytest.mark.parametrize("streams", [">&- 2>&-", "<&- >&- 2>&-", "2>&-", "2> /dev/full"])
def test_streams_that_are_closed_change_no_exit_code(streams: str, tmp_path: Path) -> None:
    assert shell(f"$S doctor {streams.removesuffix('2> /dev/full')}", tmp_path).returncode == 0
    assert shell(f"$S ingest denver nonsense=1 {streams}", tmp_path).returncode == 3


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    test = "from stforecast.cli.entry import prepare_surroundings as p; p(); print('x'); print(open('f', 'w').fileno())"
    shell(f'{sys.executable} -c "{test}" <&- >&- 2>&-', tmp_path)
    assert (tmp_path / "f").read_bytes() == b""


LATIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("letters", ["latin-1", "ascii"])
def test_letters_that_a_terminal_lacks_are_spelled_out(letters: str, tmp_path: Path) -> None:
    rows = "".join(
        f"{n},2024-01-{1 + n % 28:02} {n % 24:02}:{n % 60:02}:00,Daño,19.4,-99.1{n % 9}\n" for n in range(300)
    )
    (tmp_path / "a.csv").write_text("número,ocurrió,delito,lat,lon\n" + rows, encoding="latin-1")
    found = shell("$S init a.csv", tmp_path, PYTHONIOENCODING=letters, **LATIN)
    assert found.returncode == 0, found.stderr
    assert "ocurrió" in (tmp_path / "configs/a.yaml").read_text("utf-8")


def test_a_path_that_a_locale_cannot_name_is_one_line(tmp_path: Path) -> None:
    found = shell("$S ingest denver root=cité", tmp_path, **LATIN)
    assert found.returncode == 5
    assert b"cannot be a path where names are ascii. Set LC_ALL=C.UTF-8" in found.stderr
    assert found.stderr.count(b"\n") == 1


@pytest.mark.parametrize("backend", ["nonsense", "module://nonsense"])
def test_no_backend_of_a_screen_is_asked_for(backend: str, tmp_path: Path) -> None:
    assert shell("$S doctor", tmp_path, MPLBACKEND=backend).returncode == 0
    test = "from stforecast.cli.entry import prepare_surroundings as p; p(); import matplotlib.pyplot"
    assert shell(f'{sys.executable} -c "{test}"', tmp_path, MPLBACKEND=backend).returncode == 0
