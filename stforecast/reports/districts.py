"""Section: districts: arrests against volume, and districts of like profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from stforecast.cube.districts import named
from stforecast.delivery.figures import BLUE, colour_bar, heat, label, new_figure
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, said, standing, words
from stforecast.reports.rhythm import BINS

LEAST_DISTRICTS, LEAST_EVENTS, MOST_CLUSTERS = 5, 100, 8
WEAK = 0.25
"""Mean silhouette up to which Kaufman and Rousseeuw (1990) see no substantial structure."""


def blocks(local: Local, least: int) -> list[Block]:
    """Arrest shares and clusters of the districts with `least` events or more, where the publisher gives them."""
    district = local.district()
    district = district.where(district.map(district.value_counts()) >= least)
    if district.isna().all():
        return [said("no_districts")]
    return [Text(_counted(local, district, least)), *_arrests(local, district), *_clusters(local, district)]


def _counted(local: Local, district: pd.Series, least: int) -> str:
    """How many districts there are, and how many events are in none of them."""
    published, without = local.frame["district"], int(district.isna().sum())
    nameless = named(published).isna()
    text = f"{district.nunique()} districts; {without:,} events without a district of {least} events or more"
    text += f" ({without / len(district):.1%}) are left out of this section." if without else "."
    if by_place := int((nameless & district.notna()).sum()):
        text += f" {by_place:,} events name none and count in the district of their hexagon."
    if unnamed := sorted({" ".join(name.split()) for name in published[published.notna() & nameless]} - {""}):
        text += f" The record writes {', '.join(unnamed)} where the district is not known."
    return text


def _arrests(local: Local, district: pd.Series) -> list[Block]:
    arrest = local.frame["arrest"]
    if arrest.isna().all():
        return [Text("The publisher does not say whether an arrest was made: arrest shares are left out.")]
    from statsmodels.stats.proportion import proportion_confint

    frame = arrest.dropna().astype(float).groupby(district).agg(events="size", arrests="sum").reset_index()
    share = frame["share with an arrest"] = frame["arrests"] / frame["events"]
    frame["from"], frame["to"] = proportion_confint(frame["arrests"], frame["events"], method="wilson")
    figure, (axes,) = new_figure()
    bars = [share - frame["from"], frame["to"] - share]
    axes.errorbar(frame["events"], share, bars, fmt="o", color=BLUE, markersize=5, linewidth=1)
    for name, x, y in zip(frame["district"], frame["events"], share, strict=True):
        axes.annotate(f" {name}", (x, y), fontsize=8.5, parse_math=False)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    label(axes, "Arrests and number of events by district", "events of the record", "share with an arrest")
    rank_text = ""
    if len(frame) >= LEAST_DISTRICTS:
        rank = spearmanr(frame["events"], share)
        chance = ", not clear of chance" if rank.pvalue > 0.05 else ""
        rank_text = " " + standing("arrests_rank", count=len(frame), rank=rank.statistic, p=rank.pvalue, chance=chance)
    text = standing("arrests", share=frame["arrests"].sum() / frame["events"].sum(), rank=rank_text)
    alt = f"Share of events with an arrest against number of events, a point for each of {len(frame)} districts. {text}"
    picture = Picture("arrests", figure, alt, "With 95 % Wilson intervals.")
    return [Text(text), picture, Table("arrests", frame)]


def profiles(local: Local, district: pd.Series) -> pd.DataFrame:
    """Shares of each district's events by category and, where known, time of day, weekend and arrest; a row each."""
    time, arrest = local.frame["time"], local.frame["arrest"]
    columns: dict[str, Any] = {words(name): local.groups[name] for name in local.cube.categories}
    if local.unit == "hour":
        columns |= {part.split(",")[0]: time.dt.hour.between(low, high - 1) for part, (low, high) in BINS.items()}
    if local.unit != "month":
        columns["weekend"] = time.dt.weekday >= 5
    if arrest.notna().any():
        columns["arrest"] = arrest.astype("Float64")
    grouped = pd.DataFrame(columns).groupby(district.to_numpy())
    found = grouped.mean()[grouped.size() >= LEAST_EVENTS]
    return found.astype(float).dropna(axis=1)


def cluster(values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, dict[int, float]]:
    """Clusters [r] of rows [r f], standardised, by k-means of highest mean silhouette; the silhouette by k."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    labels = {
        k: KMeans(k, n_init=20, random_state=seed).fit_predict(values)
        for k in range(2, min(MOST_CLUSTERS, len(values) - 1) + 1)
    }
    silhouettes = {k: float(silhouette_score(values, of)) for k, of in labels.items() if len({*of.tolist()}) > 1}
    return labels[max(silhouettes, key=lambda k: silhouettes[k])], silhouettes


def _clusters(local: Local, district: pd.Series) -> list[Block]:
    from sklearn.preprocessing import StandardScaler

    table = profiles(local, district)
    if len(table) < LEAST_DISTRICTS:
        return [Text(f"{len(table)} districts with {LEAST_EVENTS} events: too few to look for groups among them.")]
    profile = StandardScaler().fit_transform(table.to_numpy())
    labels, silhouettes = cluster(profile, local.seed)
    best = max(silhouettes, key=lambda k: silhouettes[k])
    group = np.array([*"ABCDEFGH"])[labels]
    order = np.lexsort((table.index.astype(str), labels))
    figure, (left, right) = new_figure(1, 2, height=0.9 + 0.27 * max(len(table), 6), width_ratios=[3, 1.2])
    names = [f"{table.index[i]}  ({group[i]})" for i in order]
    image = heat(left, profile[order], names, list(table.columns), cmap="RdBu_r", vmin=-2.5, vmax=2.5)
    left.tick_params(axis="x", labelrotation=90)
    colour_bar(figure, left, image)
    label(left, "Profiles, in standard deviations")
    right.plot(list(silhouettes), list(silhouettes.values()), "o-", color=BLUE, markersize=4)
    right.axhline(WEAK, color="0.7", linewidth=1)
    right.set_ylim(0, 1)
    right.set_xticks(list(silhouettes))
    label(right, "Mean silhouette", "groups k")
    groups = "; ".join(", ".join(map(str, table.index[labels == number])) for number in range(best))
    text = standing("district_groups", count=best, silhouette=silhouettes[best], groups=groups)
    text += " " + standing("district_groups_weak" if silhouettes[best] <= WEAK else "district_groups_clear", weak=WEAK)
    if min(np.bincount(labels)) == 1:
        text += " A group of one district says that it differs from all others."
    alt = f"Heat map of {len(table)} districts by profile; mean silhouette by number of groups. {text}"
    shown = table.reset_index(names="district").assign(group=group)
    return [Text(text), Picture("district_groups", figure, alt), Table("district_profiles", shown, shown=False)]
