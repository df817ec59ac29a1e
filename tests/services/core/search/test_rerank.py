"""A cross-encoder puts what was found into order: a tiny one that counts how often a passage says "crane"."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from psycopg import AsyncConnection
from tokenizers import Tokenizer, models, pre_tokenizers

from services.core.kit.errors import ConfigurationInvalid
from services.core.search.encoder import ENCODER, TextEncoder
from services.core.search.rerank import DEPTH, KEPT, MODEL_FILE, TOKENIZER_FILE, open_reranker, reranked, wide
from services.core.search.retrieve import Question, Scope, retrieve, search
from tests.services.core.search.test_retrieve import document, put_many, unit

CRANE = 1


def write_reranker(folder: Path, *, third: str = "token_type_ids") -> Path:
    """Logit: how many tokens are `crane`; the third input is taken and counts nothing."""
    names = ("input_ids", "attention_mask", third)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names]
    nodes = [
        helper.make_node("Equal", ["input_ids", "crane"], ["is_crane"]),
        helper.make_node("Cast", ["is_crane"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["counts", "last"], ["logits"], keepdims=1),
    ]
    known = [
        numpy_helper.from_array(np.array([value], np.int64), name) for name, value in (("crane", CRANE), ("last", 1))
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 1])
    graph = helper.make_graph(nodes, "counts", inputs, [output], initializer=known)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, folder / MODEL_FILE)
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "crane": CRANE}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    return folder


async def test_the_best_of_thirty_come_first(database: str, text_encoder: TextEncoder, tmp_path: Path) -> None:
    """What the search put at the end is read, too; without a reranker nothing moves, and no more is looked for."""
    texts = [f"The yard has a gate, number {n}. {'crane ' * n}" for n in range(20)]
    reranker = open_reranker(write_reranker(tmp_path))
    async with await AsyncConnection.connect(database, autocommit=True) as conn:
        await put_many(conn, [document(n, text) for n, text in enumerate(texts)], unit(np.random.default_rng(2), 20))
        question, scope = Question("gate"), wide(reranker, Scope())
        assert scope.k == DEPTH
        found = await search(conn, question, unit(np.random.default_rng(9), 1)[0], ENCODER, scope)
        best = await reranked(reranker, found)
        assert [one.uri for one in best.evidence] == [f"page-{n}" for n in range(19, 19 - KEPT, -1)]
        matched = dict(zip((one.uri for one in found.evidence), found.terms_matched, strict=True))
        assert list(best.terms_matched) == [matched[one.uri] for one in best.evidence]
        assert wide(None, Scope()) == Scope()
        as_it_is = await retrieve(conn, text_encoder, question)
        assert await reranked(None, as_it_is) == as_it_is


def test_a_folder_without_a_cross_encoder_stops_the_start(tmp_path: Path) -> None:
    """Said with what belongs there; a model that wants something else is none."""
    with pytest.raises(ConfigurationInvalid, match=f"It needs {MODEL_FILE} and {TOKENIZER_FILE}"):
        open_reranker(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="wants pixels"):
        open_reranker(write_reranker(tmp_path, third="pixels"))
