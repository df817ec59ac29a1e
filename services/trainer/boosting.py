"""Grows trees with scikit-learn's histogram boosting and hands them over as plain arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.models.trees import Trees

ROUNDS = 200
RATE = 0.05
LEAVES = 15
LEAF_ROWS = 40


def boost(
    features: NDArray[np.float64], truth: NDArray[np.float64], quantiles: tuple[float, ...], *, seed: int
) -> Trees:
    """Trees for each quantile of `truth`; without quantiles it holds classes, and there is a score for each."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    growth: dict[str, Any] = {
        "max_iter": ROUNDS,
        "learning_rate": RATE,
        "max_leaf_nodes": LEAVES,
        "min_samples_leaf": max(5, min(LEAF_ROWS, len(truth) // 20)),
        "max_features": 0.5,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": seed,
    }
    unknown = np.isnan(features).all(axis=0)
    features = np.where(unknown, 0.0, features)  # nothing to split: no tree will ask for it
    if not quantiles:
        return export([HistGradientBoostingClassifier(**growth).fit(features, truth)])
    models = [HistGradientBoostingRegressor(loss="quantile", quantile=q, **growth) for q in quantiles]
    return export([model.fit(features, truth) for model in models])


def export(models: list[Any]) -> Trees:
    """
    The trees of models with as many rounds each, side by side.

    They lie in attributes that scikit-learn does not promise; test_boosting.py compares every answer.
    """
    columns = [column for model in models for column in zip(*model._predictors, strict=True)]
    nodes = [tree.nodes for column in columns for tree in column]
    sizes = np.array([len(one) for one in nodes])
    starts = np.cumsum(sizes) - sizes
    flat, start = np.concatenate(nodes), np.repeat(starts, sizes)
    itself, leaf = np.arange(len(flat)), flat["is_leaf"].astype(bool)
    return Trees(
        roots=starts.reshape(len(columns), -1).astype(np.int32),
        baseline=np.concatenate([np.ravel(model._baseline_prediction) for model in models]).astype(np.float64),
        feature=np.where(leaf, 0, flat["feature_idx"]).astype(np.int32),
        threshold=np.where(leaf, 0.0, flat["num_threshold"]).astype(np.float64),
        unknown_left=flat["missing_go_to_left"].astype(bool),
        left=np.where(leaf, itself, start + flat["left"]).astype(np.int32),
        right=np.where(leaf, itself, start + flat["right"]).astype(np.int32),
        value=flat["value"].astype(np.float64) * leaf,
        depth=np.array([flat["depth"].max()], np.int32),
    )
