"""How near the simulated city's oracle a forecast can come that has to learn the hexagons from their events.

    python scripts/knowable.py configs/reference/synthetic.yaml root=runs

The oracle knows the base rate of every hexagon and its drift. This observer knows all else: the rhythm of each kind of
hexagon and which kind it is, the weather's part, how events excite others, how widely rates and drifts vary. What it
must find out are a log rate of each hexagon and category and the knots of each hexagon's drift. It has their posterior
at every issue, from the whole days before it (Laplace's approximation, by Fisher scoring; each event counts for what
it tells of the base, μ / (μ + excitation)). A forecaster that has to learn the rest as well can hardly do better.
"""

from __future__ import annotations

import click
import numpy as np

from stforecast.config import load
from stforecast.evaluation.oracle import oracle_of
from stforecast.events.synthetic import City, drifted, excitation, expected, oracle, simulate
from stforecast.features.targets import outcomes
from stforecast.pipeline.stages import Stages
from stforecast.scoring.metrics import poisson_deviance

STEPS, MORE, LARGEST = 30, 4, 1.0
"""Steps of Fisher scoring at the first issue and at each later one; the largest change of a parameter."""
DAMPED = 0.8


class Observer:
    """Rates and drift of each hexagon as events tell them: theta [n c + k], their precision [n c + k, c + k]."""

    def __init__(self, city: City) -> None:
        p, (t, n, c), k = city.parameters, city.counts.shape, len(city.knots)
        self.city, self.c = city, c
        self.known = city.base / np.exp(city.place + drifted(p, city.knots, np.arange(t))[..., None])
        self.by_knot = drifted(p, np.eye(k), np.arange(t))
        days = t // 24
        self.daily = self.known[: days * 24].reshape(days, 24, n, c).sum(1, dtype=np.float64).transpose(1, 0, 2)
        self.basis = self.by_knot[12 : days * 24 : 24]  # noon stands for the day
        rates = p.concentration**2 * (0.8 + 0.2 * np.eye(c)) + 1e-9 * np.eye(c)
        self.prior = np.eye(c + k)
        self.prior[:c, :c] = np.linalg.inv(rates)
        hour, hexagon, category = np.nonzero(city.counts)
        self.day, self.counts = hour // 24, city.counts[hour, hexagon, category].astype(float)
        self.cell = (hexagon * days + self.day.clip(max=days - 1)) * c + category
        self.mean, self.excited = (x[hour, hexagon, category] for x in (self.known, excitation(city)))
        self.theta = np.zeros((n, c + k))
        self.precision = np.tile(self.prior, (n, 1, 1))

    def learn(self, days: int, steps: int) -> None:
        """Go on to the posterior after so many days."""
        basis, past, c = self.basis[:days], self.day < days, self.c
        squares = (basis[:, :, None] * basis[:, None]).reshape(days, -1)
        for _ in range(steps):
            level = np.exp(self.theta[:, None, :c] + (self.theta[:, c:] @ self.basis.T)[..., None])  # [n d c]
            mean = self.mean * level.reshape(-1)[self.cell]
            own = mean / (mean + self.excited)
            seen, told = (
                np.bincount(self.cell[past], (self.counts * weight)[past], minlength=level.size).reshape(level.shape)
                for weight in (own, own**2)
            )
            beyond, told = (seen - level * self.daily)[:, :days], told[:, :days]
            score = np.concatenate([beyond.sum(1), beyond.sum(2) @ basis], 1) - self.theta @ self.prior
            information = np.tile(self.prior, (len(level), 1, 1))
            information[:, range(c), range(c)] += told.sum(1)
            across = np.einsum("ndc,dk->nck", told, basis, optimize=True)
            information[:, :c, c:] += across
            information[:, c:, :c] += across.transpose(0, 2, 1)
            information[:, c:, c:] += (told.sum(2) @ squares).reshape(len(level), basis.shape[1], -1)
            step = DAMPED * np.linalg.solve(information, score[..., None])[..., 0]
            self.theta += step * np.minimum(1, LARGEST / np.abs(step).max(1, keepdims=True).clip(1e-9))
            self.precision = information

    def base(self, hours: np.ndarray) -> np.ndarray:
        """The posterior mean of the base intensity at given hours, [t n c]."""
        variance, c = np.linalg.inv(self.precision), self.c
        out = np.empty((len(hours), *self.known.shape[1:]))
        for i, hour in enumerate(hours.tolist()):
            knots = self.by_knot[hour]
            level = self.theta[:, :c] + (self.theta[:, c:] @ knots)[:, None]
            spread = variance[:, range(c), range(c)] + 2 * variance[:, :c, c:] @ knots
            spread += (variance[:, c:, c:] @ knots @ knots)[:, None]
            out[i] = self.known[hour] * np.exp(level + spread / 2)
        return out


def observed(city: City, issues: np.ndarray, horizons: int) -> np.ndarray:
    """λ of the observer at ascending issue steps of the city, [m k n c]."""
    observer, base = Observer(city), []
    for i, issue in enumerate(issues.tolist()):
        observer.learn(issue // 24, MORE if i else STEPS)
        base.append(observer.base(issue + np.arange(horizons)))
    return expected(city, issues, np.stack(base))


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def main(config: str, overrides: tuple[str, ...]) -> None:
    """Deviance of the oracle and of the observer on the test slice."""
    stages = Stages(load(config, overrides), click.echo)
    if stages.config.synthetic is None:
        raise click.UsageError(f"{config}: not a simulated city; it needs a section `synthetic`.")
    stages.ingest()
    cube = stages.build()
    split = stages.split(cube)
    city, issues = simulate(stages.config.synthetic, stages.config.seed), split.issues("test")
    counts = outcomes(cube, split, "test")
    for name, forecast in (("oracle", oracle), ("observer", observed)):
        intensity = oracle_of(city, cube, issues, forecast)
        assert intensity is not None
        click.echo(f"{name:9s} deviance {1e3 * poisson_deviance(intensity, counts):.3f} × 1e-3")


if __name__ == "__main__":
    main()
