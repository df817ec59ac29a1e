"""Trees as arrays answer what scikit-learn answers, unknown values included."""

import numpy as np
import pytest

from services.trainer.boosting import boost, export

CHANCE = np.random.default_rng(7)
FEATURES = CHANCE.normal(size=(400, 5))
FEATURES[CHANCE.random((400, 5)) < 0.1] = np.nan
KNOWN = np.nan_to_num(FEATURES)


def test_quantiles_are_those_of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingRegressor

    truth = KNOWN[:, 0] * 2 + CHANCE.normal(size=400)
    models = [
        HistGradientBoostingRegressor(loss="quantile", quantile=q, max_iter=20, random_state=1).fit(FEATURES, truth)
        for q in (0.1, 0.9)
    ]
    expected = np.column_stack([model.predict(FEATURES) for model in models])
    assert export(models).score(FEATURES) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_are_those_of_scikit_learn(classes: int):
    from sklearn.ensemble import HistGradientBoostingClassifier

    truth = np.clip((KNOWN[:, 0] + KNOWN[:, 1] + 1).astype(int), 0, classes - 1)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=1).fit(FEATURES, truth)
    found, expected = export([model]).score(FEATURES), model.decision_function(FEATURES)
    assert found == pytest.approx(expected.reshape(found.shape))


def test_a_batch_is_answered_as_its_rows_are():
    """All trees are walked at once: no row may see another's nodes."""
    trees = boost(FEATURES, KNOWN[:, 0], (0.1, 0.5, 0.9), seed=1)
    alone = np.vstack([trees.score(row[None]) for row in FEATURES[:20]])
    assert np.array_equal(trees.score(FEATURES[:20]), alone)
