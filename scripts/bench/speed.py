"""The table of docs/speed.md, from the JSON that the benchmarks wrote.

    python scripts/bench/speed.py FOLDER        (FOLDER holds origin.json, step.json, …, written with --output)

Replaces what stands between the two marks of the page. A figure whose file is absent reads "not measured".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stforecast.files import atomic_path, read_json

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/speed.md"
BEGIN, END = "<!-- figures: written by scripts/bench/speed.py -->\n", "<!-- end of figures -->\n"
UNMEASURED = "not measured"
Facts = dict[str, Any]


def milliseconds(facts: Facts, side: str) -> str:
    """Median with quartiles."""
    one = facts["sides"][side]
    low, high = (f"{1000 * value:.3g}" for value in one["quartiles_s"])
    return f"{1000 * one['median_s']:.3g} ms ({low} to {high})"


def against_peers(facts: Facts, side: str) -> str:
    """A side of origin.json beside its fastest peer."""
    if facts["fastest_peer"] not in facts["sides"]:
        return f"{milliseconds(facts, side)}; peers not measured"
    peer, ratio = facts["fastest_peer"], facts["sides"][side]["ratio"]
    return f"{milliseconds(facts, side)}; {peer} {milliseconds(facts, peer)}: × {ratio:.3g}"


def limit(facts: Facts) -> str:
    """Arithmetic of an origin."""
    found = facts["limit"]
    flop, rate = found["flop_per_origin"] / 1e9, found["gemm_flop_per_second"] / 1e9
    needs = f"{flop:.2f} GFLOP at {rate:,.0f} GFLOP/s: {1000 * found['seconds']:.2f} ms"
    moves, speed = found["bytes_per_origin"] / 1e6, found["copy_bytes_per_second"] / 1e9
    moves = f"{moves:.0f} MB read and written at {speed:,.0f} GB/s: {1000 * found['seconds_of_memory']:.2f} ms"
    begun = f"{found['operations_per_origin']:.0f} operations begun"
    return f"{needs}; × {facts['ours_over_limit']:.2g} over; {moves}; {begun}"


def step(facts: Facts) -> str:
    """Before and now."""
    losses = facts["loss_of_last_half"]
    before, now = milliseconds(facts, "before"), milliseconds(facts, "this")
    ratio = facts["sides"]["this"]["ratio"]
    return f"{before}, now {now}: × {ratio:.3g}; loss {losses['before']:.4f}, now {losses['this']:.4f}"


def propagation(facts: Facts) -> str:
    """Ratio at each width."""
    return "; ".join(f"{shape}: × {sides['ours']['ratio']:.3g}" for shape, sides in facts["sides"].items())


def allocator(facts: Facts) -> str:
    """Both sides, and their memory."""
    sides, peaks = facts["sides"], facts["peak_mb"]
    parts = [f"{name} {milliseconds(facts, name)}, {peaks[name]:,} MB" for name in sides]
    return f"{facts['hexagons']:,} hexagons: {'; '.join(parts)}: × {sides['kept']['ratio']:.3g}"


def exponents(facts: Facts) -> str:
    """Of each axis."""
    found = []
    for axis, values in facts["axes"].items():
        for kind in ("epoch" if axis == "days" else "origin", "peak"):
            one = values["exponents"][kind]
            found.append(f"{kind} against {axis} {one['exponent']:.2f} ± {one['standard_error']:.2f}")
    return "; ".join(found)


def memory(facts: Facts) -> str:
    """Measured and predicted."""
    ratio = facts["measured_over_predicted"]
    return f"{facts['measured_peak']['run']:,.0f} of {facts['predicted_of_training']:,.0f} MB: × {ratio:.2f}"


def country(facts: Facts) -> str:
    """Memory and time of one epoch."""
    predicted = facts["peak_gb"] / facts["measured_over_predicted"]
    city = facts["city"]
    took = f"{city['hexagons']:,} hexagons × {city['hours'] / 8766:.1f} years, {facts['seconds'] / 60:.0f} min"
    return f"{facts['peak_gb']:.3g} of {predicted:.3g} GB: × {facts['measured_over_predicted']:.2f}; {took}"


def cube(facts: Facts) -> str:
    """Seconds from a file to its cube, beside the peers'."""
    said = []
    for name, one in facts.items():
        if name not in ("benchmark", "machine"):
            ours = one["sides"]["ours"]["median_s"]
            beside = (f"{side} {v['median_s']:.2g} s" for side, v in one["sides"].items() if side != "ours")
            said.append(f"{name} {ours:.2g} s; {', '.join(beside)}")
    return "; ".join(said)


def large(facts: Facts) -> str:
    """Memory of a large file."""
    peak = max(facts["peak_megabytes_after_ingest"], facts["peak_megabytes_after_build"])
    return f"{facts['megabytes']:,} MB, {facts['rows'] / 1e6:.1f} M rows: {peak:,} MB at most"


def forecast(facts: Facts) -> str:
    """Milliseconds of the step, of a forecast from the file, and of a replay."""
    return "; ".join(
        f"{run['hexagons']:,} hexagons, seeds × width {run['seeds']} × {run['hidden']}: "
        + ", ".join(f"{side} {1000 * run['seconds'][side]['median_s']:,.1f} ms" for side in ("step", "file", "replay"))
        for run in facts["runs"]
    )


def process(facts: Facts) -> str:
    """Seconds of its parts."""
    parts = facts["parts"]["kept"]
    return ", ".join(
        f"{part} {seconds:.2g} s" for part, seconds in sorted(parts.items(), key=lambda item: -item[1])[:6]
    )


def skill(facts: Facts) -> str:
    """Deviance of each."""
    times, deviances = facts["seconds"], facts["poisson_deviance"]
    parts = [
        f"{name} {value:.5f}" + (f" ({times[name]:.0f} s)" if name in times else "")
        for name, value in deviances.items()
    ]
    return "; ".join(parts)


def busy(facts: Facts) -> str:
    """Seconds of a run, quiet and busy."""
    quiet, beside = (facts["sides"][side]["median_seconds"] for side in ("quiet", "busy"))
    processor = facts["busy_over_quiet"]["processor_seconds"]
    said = f"quiet {quiet:.3g} s, busy {beside:.3g} s: × {facts['busy_over_quiet']['seconds']:.2f}"
    said = f"{said}; processor time × {processor:.2f}"
    if "this_over_before" in facts:
        said = f"{said}; quiet, over the version before: × {facts['this_over_before']['seconds']:.2f}"
    return said


def on_gpu(facts: Facts) -> str:
    """Training origins by streams; nothing that a CPU gave."""
    found = facts["sections"]
    if found["limits"].get("kind") != "cuda":
        return UNMEASURED
    timed = {name: one for name, one in found.items() if "share_of_memory" in one}
    each = [
        f"{name} {1000 * one['seconds_per_origin']:.3g} ms ({one['share_of_arithmetic']:.1%} of arithmetic, "
        f"{one['share_of_memory']:.0%} of memory)"
        for name, one in timed.items()
    ]
    return f"{found['limits']['name']}: {'; '.join(each)}"


ROWS: tuple[tuple[str, str, str, Callable[[Facts], str]], ...] = (
    ("A training origin, beside the fastest peer", "≥ 250", "origin", lambda f: against_peers(f, "ours")),
    (
        "The peers' 168 hourly steps with our cell",
        "≥ 10",
        "origin",
        lambda f: against_peers(f, "ours, 168 hourly steps"),
    ),
    ("A training origin over its arithmetic", "≤ 2", "origin", limit),
    ("Test deviance after training", "no worse", "peer_skill", skill),
    ("A training step, beside the version before", "≥ 1.5", "step", step),
    ("Propagation, beside message passing", "≥ 20", "propagation", propagation),
    ("A training origin of a large city, with freed memory kept", "", "allocator", allocator),
    ("Exponents of cost", "≤ 1.05", "scaling", exponents),
    ("Peak memory over doctor's prediction, quickstart", "0.8 to 1.2", "memory_quickstart", memory),
    ("… Denver", "0.8 to 1.2", "memory_denver", memory),
    ("… 4,000 simulated hexagons", "0.8 to 1.2", "memory_simulated", memory),
    ("… a country, one epoch", "0.8 to 1.2", "country", country),
    ("Denver's file to its cube; the obvious loop, and peers that only read and count", "× 5, × .5", "cube", cube),
    ("A CSV of 2 GB", "≤ 1,500 MB", "large_file", large),
    ("The next 24 hours from a warm state", "≤ 20 ms at 500", "forecast", forecast),
    ("`stforecast forecast` as a process: its largest parts", "mostly imports", "forecast_process", process),
    ("`stforecast run` beside a busy core", "≤ 2", "busy", busy),
    ("A training origin on a GPU, and its share of the machine's limits", "", "gpu_check", on_gpu),
)
"""Claim, target, name of the JSON file, and what is read from it."""


def table(folder: Path) -> str:
    """The rows as Markdown, and what they were measured on."""
    lines, machines = ["| claim | target | measured | script |", "|---|---|---|---|"], set()
    for claim, target, name, read in ROWS:
        path, said = folder / f"{name}.json", UNMEASURED
        if path.is_file():
            facts = read_json(path)
            said, machine = read(facts), facts["machine"]
        if said != UNMEASURED:
            machines.add(
                f"{machine['processor']}, {machine['cores']} cores, load {machine['load']} at the end of {name}"
            )
        whole = any((place / f"{name}.py").is_file() for place in (HERE, HERE.parent))
        script = f"`{name if whole else name.split('_')[0]}.py`"
        lines.append(f"| {claim} | {target} | {said} | {script} |")
    return "\n".join([*lines, "", "Measured on: " + ("; ".join(sorted(machines)) or UNMEASURED) + ".", ""])


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--page", default=PAGE, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(folder: Path, page: Path) -> None:
    """Write the table."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise click.ClickException(f"{page}: lacks the marks {BEGIN.strip()} and {END.strip()}.")
    with atomic_path(page) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table(folder)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
