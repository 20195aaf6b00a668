"""The tree ensembles, one adapter each on its library.

Settings count in rows of `Sample`: about `density` quiet rows per expected event, and the events. The signal beside
climatology is faint (it lowers the deviance by less than one per cent), so leaves are large and shrunken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch

from stforecast.forecasters.trees.boosting import Boosting
from stforecast.forecasters.trees.fits import Table, TreeFit
from stforecast.forecasters.trees.forecaster import Trees
from stforecast.forecasters.trees.lightgbm_text import LightGBMTrees


class HistGradientBoosting(Boosting):
    """scikit-learn's histogram gradient boosting."""

    name = "hist_gradient_boosting"
    regressor = "sklearn.ensemble:HistGradientBoostingRegressor", {"loss": "poisson"}
    classifier = "sklearn.ensemble:HistGradientBoostingClassifier", {}
    threads = None
    settings: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 0.06,
        "max_iter": 600,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 200,
        "l2_regularization": 5.0,
        "max_features": 0.7,
        "max_bins": 63,  # scikit-learn 1.9 sorts a weighted column anew for every edge of a bin
        "early_stopping": True,
        "n_iter_no_change": 30,
        "tol": 0.0,
    }

    def fit_until(self, estimator: Any, table: Table, held_out: Table) -> Any:
        rows, target, weight = held_out  # given, so that none is drawn at random
        return estimator.fit(*table, X_val=rows, y_val=target, sample_weight_val=weight)

    def margins(self, model: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        if hasattr(model, "staged_decision_function"):
            return (found.ravel() for found in model.staged_decision_function(rows))
        return (np.log(found) for found in model.staged_predict(rows))

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        del model._predictors[rounds:]
        return super().pack(model)


class XGBoost(Boosting):
    """XGBoost."""

    name = "xgboost"
    regressor = "xgboost:XGBRegressor", {"objective": "count:poisson", "base_score": 1.0}
    classifier = "xgboost:XGBClassifier", {"objective": "binary:logistic", "base_score": 0.5}
    ending = "ubj"
    settings: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 600,
        "early_stopping_rounds": 30,
        "learning_rate": 0.06,
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": 63,
        "min_child_weight": 100,
        "reg_lambda": 10.0,
        "colsample_bytree": 0.7,
        "subsample": 0.8,
        "tree_method": "hist",
    }

    def fit_until(self, estimator: Any, table: Table, held_out: Table) -> Any:
        rows, target, weight = held_out
        return estimator.fit(
            table.rows,
            table.target,
            sample_weight=table.weight,
            eval_set=[(rows, target)],
            sample_weight_eval_set=[weight],
            verbose=False,
        )

    def margins(self, model: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        from xgboost import DMatrix

        booster, matrix, margin = model.get_booster(), DMatrix(rows), np.zeros(len(rows), np.float32)
        for i in range(booster.num_boosted_rounds()):
            margin = margin + booster.predict(matrix, iteration_range=(i, i + 1), output_margin=True)
            yield margin

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        booster = model.get_booster()[:rounds]
        booster.set_attr(best_iteration=None, best_score=None)
        return bytes(booster.save_raw("ubj"))

    def unpack(self, saved: bytes, classes: bool) -> Any:
        model = self.estimator(classes, 0)
        model.load_model(bytearray(saved))
        return model


class LightGBM(Boosting):
    """LightGBM."""

    name = "lightgbm"
    regressor = "lightgbm:LGBMRegressor", {"objective": "poisson"}
    classifier = "lightgbm:LGBMClassifier", {"objective": "binary"}
    ending = "txt"
    settings: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 600,
        "early_stopping_round": 30,
        "learning_rate": 0.05,
        "num_leaves": 63,
        "min_child_samples": 200,
        "min_child_weight": 100,
        "reg_lambda": 10.0,
        "colsample_bytree": 0.7,
        "subsample": 0.8,
        "subsample_freq": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }

    def fit_until(self, estimator: Any, table: Table, held_out: Table) -> Any:
        rows, target, weight = held_out
        return estimator.fit(
            table.rows,
            table.target,
            sample_weight=table.weight,
            eval_X=rows,
            eval_y=target,
            eval_sample_weight=[weight],
        )

    def margins(self, model: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        margin = np.zeros(len(rows))
        for i in range(model.booster_.current_iteration()):
            margin = margin + model.booster_.predict(rows, start_iteration=i, num_iteration=1, raw_score=True)
            yield margin

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        return model.booster_.model_to_string(num_iteration=rounds).encode()

    def unpack(self, saved: bytes, classes: bool) -> Any:
        return LightGBMTrees.of(saved.decode())

    def predicted(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        margin = fit.model.margin(rows, torch.get_num_threads())
        # NumPy's and SciPy's exponentials differ from LightGBM's in the last bit
        power = np.fromiter(map(exp, (margin if fit.odds is None else -margin).tolist()), float, len(margin))
        return power if fit.odds is None else 1 / (1 + power)


class CatBoost(Boosting):
    """CatBoost on y > 0 with class weights that balance events and quiet rows."""

    name = "catboost"
    classifier = "catboost:CatBoostClassifier", {"auto_class_weights": "Balanced"}
    threads = "thread_count"
    ending = "cbm"
    balances = True
    settings: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 600,
        "early_stopping_rounds": 30,
        "learning_rate": 0.06,
        "depth": 6,
        "l2_leaf_reg": 10.0,
        "min_data_in_leaf": 200,
        "rsm": 0.7,
        "border_count": 128,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.8,
        "allow_writing_files": False,
        "verbose": False,
    }

    def fit_until(self, estimator: Any, table: Table, held_out: Table) -> Any:
        from catboost import Pool

        rows, target, weight = held_out
        eval_set = Pool(rows, target, weight=weight)
        return estimator.fit(
            Pool(table.rows, table.target, weight=table.weight), eval_set=eval_set, use_best_model=False
        )

    def margins(self, model: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        return model.staged_predict(rows, prediction_type="RawFormulaVal")

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        model.shrink(ntree_end=rounds)
        told = model.get_metadata()
        told["train_finish_time"] = told["model_guid"] = ""  # or equal fits would differ in bytes
        with TemporaryDirectory() as folder:
            model.save_model(str(path := Path(folder) / "model.cbm"))
            return path.read_bytes()

    def unpack(self, saved: bytes, classes: bool) -> Any:
        return self.estimator(classes, 0).load_model(blob=saved)


class Forest(Trees):
    """Averages of independent trees that classify: among the drawn rows, the odds of a leaf are Σ y / Σ λ₀ but for a
    known factor, and no row needs a weight (scikit-learn draws each tree's rows by weight from version 1.9 on).

    Each tree sees a part of the rows, for speed and for trees that differ.
    """

    classifies = True

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        model.n_jobs = 1  # threads would add up the trees' answers in any order: not the same to the last bit
        return super().pack(model)

    def predicted(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        threads = min(torch.get_num_threads(), len(rows))
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(
                list(pool.map(lambda r: super(Forest, self).predicted(r, fit), np.array_split(rows, threads)))
            )


class RandomForest(Forest):
    """scikit-learn's random forest."""

    name = "random_forest"
    classifier = "sklearn.ensemble:RandomForestClassifier", {}
    settings: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 100,
        "bootstrap": True,
        "max_samples": 0.1,
        "min_samples_leaf": 100,
        "max_features": 0.33,
    }


class ExtraTrees(Forest):
    """scikit-learn's extremely randomised trees."""

    name = "extra_trees"
    classifier = "sklearn.ensemble:ExtraTreesClassifier", {}
    settings: ClassVar[Mapping[str, Any]] = {
        "n_estimators": 100,
        "bootstrap": True,
        "max_samples": 0.2,
        "min_samples_leaf": 100,
        "max_features": 0.5,
    }


class BalancedRandomForest(Forest):
    """imbalanced-learn's random forest: every tree draws as many quiet rows as events (Chen et al. 2004)."""

    name = "balanced_random_forest"
    classifier = "imblearn.ensemble:BalancedRandomForestClassifier", {"sampling_strategy": "auto", "replacement": False}
    balances = True
    settings = RandomForest.settings

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        model.samplers_ = model.pipelines_ = []  # every tree's row numbers: gigabytes that no forecast needs
        return super().pack(model)
