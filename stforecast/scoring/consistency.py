"""Is what came what a forecast said would come? Consistency tests of CSEP, for counts against expected counts.

    number                  the total: P(at least) and P(at most) as many events as came, of a Poisson law (Zechar,
                            Gerstenberger and Rhoades 2010)
    space                   where: the log-likelihood of the counts by place, given their total
    conditional likelihood  where, when and what: the same of every cell (Werner et al. 2011)

The last two are one function of cells of different size, `likelihood_test`. The number of events is taken as it came;
as many are drawn again and again from the forecast, and the quantile is the share of draws that are no likelier than
what came. A forecast is inconsistent with what came where a number probability is below LEVEL / 2, or a quantile is
below LEVEL. All take events as independent: where offences clump, every forecast fails in the long run.
"""

from __future__ import annotations

import numpy as np

LEVEL = 0.05
DRAWS = 1000


def number_test(expected: float, observed: int) -> dict[str, float]:
    """The number test, of events forecast and events that came: P(`at_least`) and P(`at_most`) as many as came."""
    from scipy.stats import poisson

    return {
        "at_least": float(poisson.sf(observed - 1, expected)),
        "at_most": float(poisson.cdf(observed, expected)),
    }


def likelihood_test(expected: np.ndarray, observed: np.ndarray, draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """The test of where events came, given how many: of sums by place, the space test; of cells, the conditional one.

    Args:
        expected: λ of each cell, in any shape.
        observed: whole counts, in the shape of `expected`.
        draws: catalogues of as many events, each drawn from the forecast.
        seed: of the draws.

    Returns:
        The joint Poisson `log_likelihood`, with λ scaled to as many events as came, and the `quantile`: the share of
        draws whose own is no higher. NaN where none came.
    """
    from scipy.special import gammaln

    lam, counts = np.ravel(expected).astype(np.float64), np.ravel(observed)
    events, edges, rng = int(counts.sum()), lam.cumsum(), np.random.default_rng(seed)
    if not events:
        return {"log_likelihood": float("nan"), "quantile": float("nan")}

    def likelihood(cells: np.ndarray, numbers: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            logs = np.log(lam[cells] * (events / edges[-1]))
        return float((numbers * logs - gammaln(numbers + 1.0)).sum()) - events

    came = np.flatnonzero(counts)
    found, drawn = likelihood(came, counts[came]), np.empty(draws)
    for i in range(draws):
        at = np.searchsorted(edges, np.sort(rng.random(events)) * edges[-1], side="right")
        drawn[i] = likelihood(*np.unique(at, return_counts=True))
    no_likelier = drawn <= found + 1e-9 * abs(found)  # equal ones differ in their last digits
    return {"log_likelihood": found, "quantile": float(no_likelier.mean())}
