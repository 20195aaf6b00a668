"""What pages call a step, an issue and the horizon: words that are filled into the texts of `notes.yaml`."""

from __future__ import annotations

from stforecast.cube.steps import Step
from stforecast.delivery.words import length_of

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def terms_of(step: Step, horizons: int) -> dict[str, str]:
    """Words by the name that texts use.

    Args:
        step: of the axis.
        horizons: steps of a forecast.

    Returns:
        step, steps: such as hour. issue, issues: what lies between two issues, such as day. weeks: what a usual rate is
        averaged over. span: the horizon behind "the next", such as 24 hours or month. length: the horizon as a number,
        such as 24 hours or 1 month.
    """
    issue = step.between_issues
    return {
        "step": step.unit,
        "steps": f"{step.unit}s",
        "issue": issue,
        "issues": f"{issue}s",
        "weeks": f"{step.cycle}s",
        "span": length_of(step, horizons),
        "length": step.words(horizons),
    }
