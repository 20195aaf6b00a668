"""Files of a run and of a city are data: whatever replaces them, what reads them runs nothing of it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
import torch
import yaml
from small_cities import with_small_trees

from stforecast.cli import main
from stforecast.config import Config, load
from stforecast.errors import ArtefactError, StforecastError
from stforecast.files import write_json
from stforecast.forecasters.registry import forecaster_class
from stforecast.pipeline.run import Run

TREES = ("hist_gradient_boosting", "xgboost", "lightgbm", "catboost", "balanced_random_forest")
FORECASTERS = ("gcrn", "rolling_climatology", "kernel", "hawkes", "ensemble", *TREES)
SETTINGS = (
    *("synthetic.hexagons=12", "synthetic.days=90", "training.max_epochs=1", "training.warm_up_days=20"),
    *("training.truncation=7", "model.hidden=8", "training.device=cpu", "evaluation.ensemble=[gcrn, lightgbm]"),
    f"evaluation.forecasters=[{', '.join(FORECASTERS)}]",
)
MODULE = "module_of_a_stranger"
CANARY = Path("canary")
"""In the folder where a test works: exists once anything of a payload ran."""


class Payload:
    """What runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return open, (str(CANARY), "w")


def _pickle() -> bytes:
    return pickle.dumps(Payload())


def _joblib() -> bytes:
    joblib.dump(Payload(), buffer := io.BytesIO(), compress=3)
    return buffer.getvalue()


def _torch(zipped: bool = True) -> bytes:
    torch.save({"state_dict": Payload()}, buffer := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _objects() -> bytes:
    np.save(buffer := io.BytesIO(), np.array([Payload()], object), allow_pickle=True)
    return buffer.getvalue()


def _archive() -> bytes:
    np.savez(buffer := io.BytesIO(), intensity=np.array([Payload()], object))
    return buffer.getvalue()


def _skops() -> bytes:
    """A file of skops that names a class of a stranger's module."""
    named = {"__class__": "Canary", "__module__": MODULE, "__loader__": "ObjectNode", "__id__": 1, "content": None}
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16.0", **named}))
    return buffer.getvalue()


def _yaml() -> bytes:
    return f"city: !!python/object/apply:builtins.open ['{CANARY}', 'w']\n".encode()


PAYLOADS: dict[str, Callable[[], bytes]] = {
    "pickle": _pickle,
    "joblib": _joblib,
    "torch": _torch,
    "old torch": lambda: _torch(zipped=False),
    "objects": _objects,
    "archive": _archive,
    "skops": _skops,
    "yaml": _yaml,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a tiny city after `run`."""
    root = tmp_path_factory.mktemp("city")
    with pytest.MonkeyPatch.context() as patch:
        with_small_trees(patch, 5_000)
        code, said = call("run", root)
        assert code == 0, said
        yield root


@pytest.fixture(autouse=True)
def _canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder to work in, with a stranger's module in it that Python finds; nothing that runs stays unseen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code = f"from pathlib import Path\nfrom stforecast import Forecaster\nPath('{CANARY}').touch()\n"
    (tmp_path / f"{MODULE}.py").write_text(code + "class Canary(Forecaster):\n    name = 'canary'\n")
    yield
    assert not CANARY.exists()
    assert MODULE not in sys.modules


def call(verb: str, root: Path, *arguments: str, config: str = "quickstart") -> tuple[int, str]:
    """Exit code and standard error of a verb."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([verb, config, f"root={root}", *SETTINGS, *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code, err.getvalue()


def refuses(verb: str, root: Path, *arguments: str, config: str = "quickstart") -> str:
    """What a verb says that leaves with one line."""
    code, err = call(verb, root, *arguments, config=config)
    assert code in (3, 4, 5), (code, err)
    line = err.splitlines()[-1]
    assert line.startswith("error: ")
    assert "Traceback" not in err
    return line


def run_of(root: Path) -> Run:
    runs = root / "checkpoints" / "quickstart"
    return Run(runs / (runs / "latest").read_text().strip())


def config_of(root: Path) -> Config:
    return load("quickstart", [f"root={root}", *SETTINGS])


@contextlib.contextmanager
def replaced(path: Path, content: bytes | dict[str, Any]) -> Iterator[None]:
    """A file with another content, or JSON of ours with other values, until the block ends."""
    whole = path.read_bytes()
    path.write_bytes(content) if isinstance(content, bytes) else write_json(path, content)
    try:
        yield
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_payloads_are_real(kind: str) -> None:
    """Each runs where it is opened as strangers' files must not be."""
    read: dict[str, Callable[[Any], Any]] = {
        "pickle": pickle.load,
        "joblib": joblib.load,
        "torch": lambda file: torch.load(file, weights_only=False),
        "old torch": lambda file: torch.load(file, weights_only=False),
        "objects": lambda file: np.load(file, allow_pickle=True),
        "archive": lambda file: np.load(file, allow_pickle=True)["intensity"],
        "skops": lambda file: skops.io.load(file, trusted=[f"{MODULE}.Canary"]),
        "yaml": yaml.unsafe_load,
    }
    with contextlib.suppress(TypeError):  # the class is abstract
        read[kind](io.BytesIO(PAYLOADS[kind]()))
    sys.modules.pop(MODULE, None)
    CANARY.unlink()


@pytest.mark.parametrize("kind", PAYLOADS)
def test_no_file_of_a_forecaster_runs_code(kind: str, home: Path) -> None:
    run, config, tried = run_of(home), config_of(home), set()
    for name in FORECASTERS:
        files = [path for path in run.place(name).iterdir() if path.is_file()]
        for path in files:
            with replaced(path, PAYLOADS[kind]()), pytest.raises(StforecastError) as caught:
                run.open(name, config)
            tried.add(path.suffix)
            said = str(caught.value)
            assert said.startswith(str(path)), said
            assert "\n" not in said
            assert len(said) < 700
        run.open(name, config)
    assert tried == {".json", ".safetensors", ".skops", ".ubj", ".txt", ".cbm"}


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("name", ["gcrn", *TREES])
def test_no_fit_runs_code(kind: str, name: str, home: Path, tmp_path: Path) -> None:
    """Neither where nothing is checked before."""
    config = config_of(home)
    shutil.copytree(run_of(home).place(name), tmp_path / "fit")
    path = next((tmp_path / "fit").glob("seed-0.*"))
    path.write_bytes(PAYLOADS[kind]())
    with pytest.raises(ArtefactError, match=r"seed-0\.\w+: .*stforecast train"):
        forecaster_class(name)(config).load_fit(tmp_path / "fit")


@pytest.mark.parametrize("name", ["gcrn", *TREES])
def test_files_of_earlier_versions_are_not_opened(name: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "model.joblib").write_bytes(_joblib())
    (tmp_path / "seed-0" / "best.ckpt").write_bytes(_torch())
    with pytest.raises(ArtefactError, match=r"(trees|settings)\.json: is absent\. Run "):
        forecaster_class(name)(config_of(home)).load_fit(tmp_path)


@pytest.mark.parametrize(
    ("file", "kinds", "verbs"),
    [
        ("run.json", ["pickle", "yaml"], ["forecast", "evaluate", "refresh", "report", "analyse", "train"]),
        ("scorecard.json", ["pickle"], ["evaluate", "report"]),
        ("xgboost/seed-0.ubj", ["joblib"], ["forecast --model xgboost"]),
        ("hist_gradient_boosting/seed-0.skops", ["skops"], ["forecast --model hist_gradient_boosting"]),
        ("gcrn/seed-0.safetensors", ["torch"], ["forecast", "report"]),
        ("gcrn/calibration.json", ["pickle"], ["forecast", "evaluate", "report"]),
        ("predictions/gcrn/07/intensity.npy", ["pickle", "objects", "archive"], ["report", "analyse"]),
    ],
)
def test_verbs_refuse_a_payload_or_replace_it(file: str, kinds: list[str], verbs: list[str], home: Path) -> None:
    for kind in kinds:
        payload, path = PAYLOADS[kind](), run_of(home).folder / file
        with replaced(path, payload):
            for verb in verbs:
                first, *more = verb.split()
                code, said = call(first, home, *more)
                if code == 0:
                    assert path.read_bytes() != payload
                    path.write_bytes(payload)
                else:
                    assert code == 5
                    assert Path(file).name in said.splitlines()[-1], verb


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch", "archive"])
def test_a_kept_state_with_a_payload_is_made_again(kind: str, home: Path) -> None:
    for path in (run_of(home).folder / "state").glob("gcrn-*.pt"):
        with replaced(path, PAYLOADS[kind]()):
            call("forecast", home)
            torch.load(path, weights_only=True)


def test_a_fit_in_progress_with_a_payload_is_refused(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    run = run_of(tmp_path / "home")
    for path in (run.folder / "run.json", run.place("gcrn") / "calibration.json"):
        path.unlink()
    for name in ("last.ckpt", "best.ckpt"):
        for kind in ("pickle", "torch", "old torch"):
            with replaced(run.place("gcrn") / "progress" / "seed-0" / name, PAYLOADS[kind]()):
                assert name in refuses("train", tmp_path / "home")


@pytest.mark.parametrize("kind", ["pickle", "yaml"])
def test_a_configuration_that_a_run_keeps_is_plain(kind: str, home: Path) -> None:
    path = run_of(home).folder / "config.yaml"
    with replaced(path, PAYLOADS[kind]()):
        assert "config.yaml" in refuses("forecast", home, config=str(path))


@pytest.mark.parametrize(
    "file",
    [
        *("gold/cube.json", "gold/events.parquet", "gold/hexagons.parquet", "gold/hours.parquet", "hashes.json"),
        *("silver/events.parquet", "silver/ingest.json", "bronze/simulated.json"),
    ],
)
def test_no_file_of_a_city_runs_code(file: str, home: Path) -> None:
    path = home / "data" / "quickstart" / file
    with replaced(path, _pickle()):
        code, said = call("forecast", home)
        assert code == 0 or (code == 5 and path.name in said.splitlines()[-1])


def values_of(path: Path) -> dict[str, Any]:
    """What JSON of ours says, but for its checksum."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "checksum"}


def renamed(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Facts of a run, or a scorecard, of a forecaster of another name."""
    named = values["forecasters"]
    other = {name: next(iter(named.values()))} if isinstance(named, dict) else [name]
    return {**values, "forecasters": other}


@pytest.mark.parametrize("name", [f"{MODULE}:Canary", "../stranger", "canary"])
def test_names_in_a_run_import_nothing(name: str, home: Path, tmp_path: Path) -> None:
    """Though their folder is there, calibrated, and the module can be imported."""
    shutil.copytree(home, tmp_path / "home")
    run = run_of(tmp_path / "home")
    shutil.copytree(run.place("kernel"), run.place(name))
    for file, verbs in {"run.json": ["forecast", "refresh", "analyse"], "scorecard.json": ["report"]}.items():
        path = run.folder / file
        with replaced(path, renamed(values_of(path), name)):
            for verb in verbs:
                assert repr(name) in refuses(verb, tmp_path / "home"), verb
    refuses("forecast", tmp_path / "home", "--model", name)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("gcrn/settings.json", lambda values: values["model"].update(conv=f"{MODULE}:Canary")),
        ("gcrn/settings.json", lambda values: values.update(hexagons=[f"{MODULE}:Canary"])),
        ("kernel/calibration.json", lambda values: values.update(parts=[f"{MODULE}:Canary"])),
        ("ensemble/pool.json", lambda values: values.update(weights={f"{MODULE}:Canary": 1.0})),
        ("xgboost/trees.json", lambda values: values.update(scales={"__class__": f"{MODULE}:Canary"})),
    ],
)
def test_values_in_a_run_import_nothing(file: str, change: Callable[[Any], None], home: Path) -> None:
    path = run_of(home).folder / file
    values = values_of(path)
    change(values)
    with replaced(path, values):
        refuses("forecast", home, "--model", path.parent.name)


@pytest.mark.parametrize(
    "name", ["../stranger", "..", ".", "", "/", "a/b", "a\\b", "{root}", "x\0y", "linked", "ü" * 99]
)
def test_latest_names_a_run_of_the_folder(name: str, home: Path, tmp_path: Path) -> None:
    run = run_of(home).folder
    shutil.copytree(run.parent, tmp_path / "home" / "checkpoints" / "quickstart")
    runs = tmp_path / "home" / "checkpoints" / "quickstart"
    shutil.copytree(run, runs.parent / "stranger")
    (runs / "linked").symlink_to(runs.parent / "stranger")
    (runs / "latest").write_text(name.format(root=run))
    for verb in ("forecast", "refresh"):
        said = refuses(verb, tmp_path / "home")
        assert said.startswith(f"error: {runs / 'latest'}: ")
        assert "Run `stforecast train` again" in said
