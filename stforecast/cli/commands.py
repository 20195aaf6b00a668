"""The command line: one verb a stage. Heavy imports stand inside the verbs, so that `--help` answers at once."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stforecast import __version__
from stforecast.cli.times import AS_OF, ISSUE_TIME, issue_time, issue_times, record_time
from stforecast.imports import importing

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages

EXIT_CODES = """\b
Exit codes: 0 done · 1 a defect of the program · 2 wrong call · 3 configuration
            4 publisher's data · 5 a file that is absent or damaged, or that the system refuses
            6 another process does the same · 7 a publisher that does not answer · 130 stopped
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stforecast")
def cli() -> None:
    """Forecast reported offences of the next hours, days or months, by H3 hexagon.

    Every verb takes the configuration of a city (a YAML file, or the name of one that ships with the package, such as
    denver) and any number of dotted.key=value settings, for example grid.resolution=9. Start with:

    \b
        stforecast run configs/quickstart.yaml      # a simulated city, end to end
        stforecast init cincinnati                  # a configuration for a city whose publisher is known
        stforecast init offences.csv                # one for a file of your own
        stforecast doctor                           # what is installed, which device is used
    """


def verb(function: Callable[..., str], group: click.Group = cli, name: str | None = None) -> click.Command:
    """A verb over the stages of a configuration with overrides; it returns the verb, or else what, to go on with."""

    @click.argument("config")
    @click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
    @functools.wraps(function)
    def command(config: str, overrides: tuple[str, ...], **options: Any) -> None:
        if start := options.pop("start", None):
            overrides += (f"training.start={start}",)  # which the verbs that follow need too
        following = function(stages_of(config, overrides), **options)
        if following in cli.commands:
            following = shlex.join(["stforecast", following, config, *overrides])
        click.echo(f"next: {following}")

    return group.command(name)(command)


def stages_of(config: str, overrides: tuple[str, ...]) -> Stages:
    from stforecast import config as configuration

    loaded = configuration.load(config, overrides)
    with importing():
        from stforecast.pipeline.stages import Stages

    return Stages(loaded, say)


def say(line: str) -> None:
    """Print above whatever progress bar is shown."""
    from tqdm import tqdm

    tqdm.write(line)


@verb
def evaluate(stages: Stages) -> str:
    """Score every forecaster on the test slice; write scorecard.json."""
    stages.evaluate()
    return "forecast"


@verb
def backtest(stages: Stages) -> str:
    """Fit and score every forecaster on several folds of the record, each trained on what came before it."""
    from stforecast.pipeline.backtesting import backtest as write

    folder = write(stages)
    return f"open {folder / 'curves.png'}; backtest.json beside it holds every figure"


@verb
@click.option("--issue-time", "single", help=f"{ISSUE_TIME} Default: the record's end.")
@click.option("--from", "first", help="First issue time of a batch with one a day (of months: a month).")
@click.option("--to", "last", help="Last issue time of the batch.")
@click.option("--model", help="Forecaster of the run to use. Default: the first of evaluation.forecasters.")
@click.option("--as-of", help=f"Forecast from what was known then: {AS_OF}")
def forecast(stages: Stages, model: str | None, as_of: str | None, **times: str | None) -> str:
    """Write the risk grid of the next 24 hours (7 days, month) from the newest run: Parquet, CSV, GeoJSON and maps."""
    written = stages.forecast(issue_times(stages.step, **times), model, record_time(stages.step, as_of))
    return f"open {written[-1] / 'map.html'} or map.png, or risk.geojson in QGIS"


@verb
@click.option("--issue-time", "at", help=f"Of the grid. {ISSUE_TIME} Default: the newest.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: map.html beside the grid.")
def map(stages: Stages, at: str | None, output: Path | None) -> str:
    """Draw a written grid as an interactive map, with the reports since, once the record holds its steps."""
    time = issue_time(stages.step, at) if at is not None else None
    return f"open {stages.map(time, output)}"


@verb
@click.option("--cell", required=True, help="Id of a hexagon or area, or words of its name.")
@click.option("--shift", help="Hours of `map.shifts`. Default: all steps of the grid.")
@click.option("--category", default="all", show_default=True, help="Of the grid.")
@click.option("--issue-time", "at", help=f"Of the grid. {ISSUE_TIME} Default: the newest.")
def why(stages: Stages, cell: str, shift: str | None, category: str, at: str | None) -> str:
    """Say what makes a number of a written grid: the usual there, and what each group of inputs multiplies it by."""
    from stforecast.pipeline.why_asked import why_of

    why_of(stages, cell, shift, category, issue_time(stages.step, at) if at is not None else None)
    return "open map.html beside the grid: it shows the same of the top places"


@verb
@click.option("--issue-time", "at", help=f"Of the grid. {ISSUE_TIME} Default: the newest.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Default: plan/ beside the grid.")
@click.option("--shift", help="A name of map.shifts, such as evening. Default: the whole forecast.")
def plan(stages: Stages, at: str | None, output: Path | None, shift: str | None) -> str:
    """Choose places for prevention, services and presence from a written grid: CSV, GeoJSON and JSON.

    Chosen are the places that cover most expected reports within a budget (plan.rule, plan.places or plan.area_km2),
    weighted by category (plan.weights); plan.leave_out names places that are not to be chosen, each with its reason.
    """
    from stforecast.pipeline.plan import plan as write

    folder = write(stages, issue_time(stages.step, at) if at is not None else None, output, shift)
    return f"open {folder / 'places.csv'}, or places.geojson in QGIS"


@verb
@click.option("--shift", help="Only these hours: a name of map.shifts; of days weekdays or weekend.")
@click.option("--beat", help="Only this district (grid.districts).")
@click.option("--issue-time", "at", help=f"Of the grid. {ISSUE_TIME} Default: the newest.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: brief.pdf beside the grid.")
def brief(stages: Stages, shift: str | None, beat: str | None, at: str | None, output: Path | None) -> str:
    """Write a briefing from a written grid: one A4 page as PDF, and as HTML beside it.

    It has the map, the places with most reports expected, the sums with their ranges, what is unusual, and how the
    forecasts of the last week did.
    """
    from stforecast.pipeline.brief import brief as write

    if output is not None and output.suffix != ".pdf":
        raise click.UsageError(f"--output {output}: write a name that ends in .pdf; the HTML stands beside it.")
    return f"print {write(stages, issue_time(stages.step, at) if at is not None else None, shift, beat, output)}"


@verb
@click.option("--resume/--fresh", default=True, show_default=True, help="Go on with an unfinished run, or start anew.")
def run(stages: Stages, resume: bool) -> str:
    """Ingest, build, train, evaluate and forecast, skipping what is already done; with source.fetch, fetch first.

    Of a new city a first map is written before it trains, from weights that were learned from other cities.
    """
    from stforecast.pipeline.fetching import fetch_first
    from stforecast.pipeline.first_map import first_map
    from stforecast.pipeline.layers import fetch_layers_first
    from stforecast.pipeline.sentences import serving
    from stforecast.pipeline.weather import fetch_weather_first

    fetch_first(stages)
    fetch_layers_first(stages)
    fetch_weather_first(stages, stages.ingest())
    stages.build()
    first_map(stages)
    stages.train(resume)
    stages.say(f"evaluate: {serving(stages.evaluate())}")
    written = stages.forecast()
    return f"open {written[-1] / 'map.html'}, or tensorboard --logdir {stages.place.runs}"


@verb
def analyse(stages: Stages) -> str:
    """Write a page about the record: trends, rhythms, districts, hot spots, near repeats, drift."""
    from stforecast.pipeline.pages import analyse as write

    return f"open {write(stages)}"


@verb
def report(stages: Stages) -> str:
    """Write a page about the finished run: data quality, comparison, errors, maps and a model card."""
    from stforecast.pipeline.pages import report as write

    return f"open {write(stages)}"


@verb
def refresh(stages: Stages) -> str:
    """Take in new reports, forecast from the newest run and hand the grid to the service; never trains.

    For cron, systemd or Kubernetes: one refresh of a city works at a time, a second one leaves at once with exit code
    6. One that fails leaves the grid that is served as it is, and the service says that it is stale.
    """
    from stforecast.pipeline.refresh import refresh as run_once

    run_once(stages)
    return "serve"


@cli.group(no_args_is_help=False)
def prospective() -> None:
    """Check the record of published forecasts; score those that were made in advance."""


@functools.partial(verb, group=prospective, name="verify")
def verify_record(stages: Stages) -> str:
    """Find what was changed, removed or moved on the record."""
    from stforecast.pipeline.prospective import verify

    return f"note the hash of the last line, {verify(stages)}, where this machine cannot change it"


@functools.partial(verb, group=prospective, name="score")
def score_record(stages: Stages) -> str:
    """Write a page by month on the settled forecasts that were made in advance."""
    from stforecast.pipeline.prospective import score

    return f"open {score(stages)}; scores.json beside it holds every figure"


@cli.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--polygons", type=click.Path(path_type=Path), help="Polygon file (beats, wards…) whose areas to forecast."
)
@click.option("--key", help="Attribute of the file that names a polygon.")
@click.option("--resolution", type=click.IntRange(0, 15), help="Of H3 hexagons, in place of a file.")
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
def convert(folder: Path, polygons: Path | None, key: str | None, resolution: int | None, output: Path) -> None:
    """Write a grid, or a saved forecast, in other cells: expected reports are shared out by area.

    FOLDER is that of a grid (with grid.json) or of a saved forecast (with forecast.json).
    """
    if (polygons is None) == (resolution is None) or (polygons is None) != (key is None):
        raise click.UsageError("give either --polygons and --key, or --resolution.")
    from stforecast.delivery.convert import convert_folder

    to = resolution if polygons is None else polygons
    assert to is not None
    lines, following = convert_folder(folder, to, key, output)
    for line in lines:
        say(f"convert: {line}")
    click.echo(f"next: {following}")


@cli.command()
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need API keys.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def serve(config: str, overrides: tuple[str, ...], host: str, port: int) -> None:
    """Answer questions about the newest grid of the store over HTTP, with a live map at /."""
    from stforecast import config as configuration
    from stforecast.config.workspace import database
    from stforecast.delivery.api.server import serve as run_server

    loaded = configuration.load(config, overrides)
    run_server(loaded, database(loaded), host, port)


@cli.command()
@click.argument("config", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--keys", is_flag=True, help="List every configuration key with its default and meaning.")
def doctor(config: str | None, overrides: tuple[str, ...], keys: bool) -> None:
    """Say what is installed, which device would be used, and what a cube and model will cost in memory."""
    from stforecast.pipeline import doctor as examination

    if keys:
        lines = examination.keys()
    else:
        lines = examination.machine()
        if config:
            lines += examination.city(stages_of(config, overrides))
    click.echo("\n".join(lines))
