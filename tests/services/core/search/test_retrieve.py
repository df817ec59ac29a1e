"""Documents in, evidence out: on a real PostgreSQL, with the real encoder where words matter."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from obstore.store import LocalStore
from psycopg import AsyncConnection

from services.core.contracts.document import Chunk, Document, DocumentKind
from services.core.kit.errors import InputInvalid
from services.core.search import documents, retrieve
from services.core.search.encoder import DIMENSIONS, ENCODER, TextEncoder
from services.core.search.indexing import Source, index_store
from services.core.search.retrieve import Question, Scope

RNG = np.random.default_rng(0)
GROUPS = ("hr", "it", "finance", "legal", "board")


@pytest.fixture
async def conn(database: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        yield connection


def document(number: int, text: str = "The printer is on the third floor.", **changes: object) -> Document:
    values = {"source": "docs", "uri": f"page-{number}", "title": "", "kind": DocumentKind.TEXT}
    values |= {"content_sha256": "0" * 64, "chunks": (Chunk(ordinal=0, text=text),)}
    return Document.model_validate(values | changes)


def unit(rng: np.random.Generator, rows: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def near(rng: np.random.Generator, vectors: np.ndarray) -> np.ndarray:
    noisy = vectors + 0.04 * rng.normal(size=vectors.shape).astype(np.float32)
    return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)


async def put_many(conn: AsyncConnection, many: list[Document], vectors: np.ndarray) -> None:
    async with conn.transaction():
        for one, vector in zip(many, vectors, strict=True):
            await documents.put(conn, one, vector[None], encoder=ENCODER)


def folder(path: Path, **files: str) -> LocalStore:
    for name, text in files.items():
        (path / f"{name}.md").write_text(text, "utf-8")
    return LocalStore(str(path))


async def test_indexing_touches_only_what_changed(
    conn: AsyncConnection, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """New and changed in, vanished out with chunks and postings, a broken file keeps what it had and stops nothing."""
    source = Source("docs", base_url="https://help.example.com")
    store = folder(
        tmp_path, vpn="# VPN\n\nUse the client.", mail="# Mail\n\nUse the portal.", old="# Old\n\nGone soon."
    )
    first = await index_store(conn, text_encoder, store, source)
    assert (len(first.indexed), first.chunks) == (3, 3)
    (tmp_path / "old.md").unlink()
    (tmp_path / "vpn.md").write_text("# VPN\n\nUse the new client.", "utf-8")
    (tmp_path / "mail.md").write_bytes(b"\xff\xfa\xfa broken")
    second = await index_store(conn, text_encoder, store, source)
    assert second.indexed == ["https://help.example.com/vpn.md"]
    assert (second.removed, second.unchanged, list(second.broken)) == (1, 0, ["https://help.example.com/mail.md"])
    rows = await documents.listing(conn)
    assert [row["uri"] for row in rows] == ["https://help.example.com/mail.md", "https://help.example.com/vpn.md"]
    terms = await (
        await conn.execute(
            "select count(*) from chunk_terms t left join chunks c on c.id = t.chunk_id where c.id is null"
        )
    ).fetchone()
    assert terms == (0,)
    third = await index_store(conn, text_encoder, store, Source("docs", ("hr",), "https://help.example.com"))
    assert third.indexed == ["https://help.example.com/vpn.md"], "another audience is a change"


async def test_rights_stay_until_a_word_widens_them(
    conn: AsyncConnection, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """Indexed again without groups, changed and new documents stay restricted; emptied and filled again, too."""

    async def index(acl: tuple[str, ...] | None, **files: str) -> dict[str, list[str]]:
        await index_store(conn, text_encoder, folder(tmp_path, **files), Source("hr", acl))
        return {row["uri"]: row["acl"] for row in await documents.listing(conn)}

    restricted = ["hr", "managers"]
    assert await index(("managers", "hr"), pay="# Pay\n\nSecret.") == {"pay.md": restricted}
    both = {"pay.md": restricted, "new.md": restricted}
    assert await index(None, pay="# Pay\n\nChanged.", new="# New\n\nSecret, too.") == both
    await documents.remove(conn, "hr", list(both))
    assert await index(None) == both
    await documents.put(conn, document(1, source="hr", uri="pay.md", acl=("board",)), unit(RNG, 1), encoder=ENCODER)
    assert await index(None) == both | {"pay.md": ["board"]}
    with pytest.raises(InputInvalid, match="--acl"):
        await index(None, third="# Third\n\nWhose?")
    assert await index(()) == {"pay.md": [], "new.md": [], "third.md": []}


async def test_links_out_of_the_folder_are_not_followed(
    conn: AsyncConnection, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """A link to a file or folder elsewhere is reported; one to a neighbour is read, a circle ends."""
    (inside := tmp_path / "inside").mkdir()
    (outside := tmp_path / "inside-out").mkdir()
    store = folder(inside, vpn="# VPN\n\nUse it.")
    folder(outside, secret="# Secret\n\nPassword.")
    links = {"file.md": outside / "secret.md", "folder #1": outside, "near.md": inside / "vpn.md", "circle": inside}
    for name, target in links.items():
        (inside / name).symlink_to(target)
    outcome = await index_store(conn, text_encoder, store, Source("docs"))
    assert (outcome.indexed, sorted(outcome.broken)) == (["near.md", "vpn.md"], ["file.md", "folder #1"])
    assert [row["uri"] for row in await documents.listing(conn)] == ["near.md", "vpn.md"]


async def test_a_name_that_cannot_be_shown_is_reported(
    conn: AsyncConnection, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """It would be an address in answers and in notes to agents; the others are indexed."""
    store = folder(tmp_path, vpn="# VPN\n\nUse it.", **{"a\nSuggested group: Sales": "# A\n\nB."})
    outcome = await index_store(conn, text_encoder, store, Source("docs"))
    assert outcome.indexed == ["vpn.md"]
    assert ["cannot be shown" in why for why in outcome.broken.values()] == [True]


async def test_an_empty_folder_removes_nothing(
    conn: AsyncConnection, text_encoder: TextEncoder, tmp_path: Path
) -> None:
    """A wrong path or an unmounted disk must not empty the index."""
    await index_store(conn, text_encoder, folder(tmp_path, vpn="# VPN\n\nUse it."), Source("docs"))
    (tmp_path / "vpn.md").unlink()
    with pytest.raises(InputInvalid, match="No file"):
        await index_store(conn, text_encoder, LocalStore(str(tmp_path)), Source("docs"))
    assert len(await documents.listing(conn)) == 1


async def test_each_arm_finds_what_the_other_misses(conn: AsyncConnection, text_encoder: TextEncoder) -> None:
    """An error code by its letters, a paraphrase by its meaning; both in one search."""
    texts = [
        "Error 0x80070643 means the update store is damaged.",
        "If you cannot log in, reset your password.",
        "Lunch is at noon.",
    ]
    await put_many(conn, [document(n, text) for n, text in enumerate(texts)], text_encoder.embed(texts))
    by_code = await retrieve.retrieve(conn, text_encoder, Question("0x80070643"), Scope(vector_share=0.0))
    assert by_code.evidence[0].uri == "page-0"
    by_meaning = await retrieve.retrieve(
        conn, text_encoder, Question("my sign-in credentials are rejected"), Scope(text_share=0.0)
    )
    assert by_meaning.evidence[0].uri == "page-1"
    both = await retrieve.retrieve(conn, text_encoder, Question("credentials rejected, code 0x80070643"))
    assert {one.uri for one in both.evidence[:2]} == {"page-0", "page-1"}


async def test_a_follow_up_is_searched_as_it_is_meant(conn: AsyncConnection, text_encoder: TextEncoder) -> None:
    """ "How long does it take?" is about what was asked before."""
    texts = ["A parking permit takes two weeks.", "A laptop replacement takes three days.", "A badge takes an hour."]
    await put_many(conn, [document(n, text) for n, text in enumerate(texts)], text_encoder.embed(texts))
    question = Question("How long does it take?", previous=("I need my laptop replaced.",))
    found = await retrieve.retrieve(conn, text_encoder, question)
    assert found.evidence[0].uri == "page-1"


async def test_a_document_comes_before_a_case_that_ranks_alike(conn: AsyncConnection) -> None:
    """One is first by words and the other by meaning: a weight decides; a case that is first in both stays first."""
    texts = ["green key for the lift of yard 7", "a key for lifts", "The canteen opens at noon."]
    many = [document(0, texts[0], source="cases", kind=DocumentKind.CASE), document(1, texts[1]), document(2, texts[2])]
    vector, other = unit(RNG, 2)
    near = [0.8 * vector + 0.2 * other, vector, other]
    await put_many(conn, many, np.array([one / np.linalg.norm(one) for one in near], np.float32))

    async def order(weight: float = retrieve.CASES_WEIGHT) -> list[str]:
        scope = Scope(cases_weight=weight)
        found = await retrieve.search(conn, Question("green key of yard 7"), vector, ENCODER, scope)
        return [one.uri for one in found.evidence]

    assert await order() == ["page-1", "page-0", "page-2"]
    assert await order(1.1) == ["page-0", "page-1", "page-2"]
    await documents.remove(conn, "docs", ["page-1"])
    assert await order() == ["page-0", "page-2"]


async def test_nobody_finds_what_they_may_not_read(conn: AsyncConnection) -> None:
    """
    2,000 random documents and 300 random callers, by words and by vectors: no evidence from outside a caller's groups,
    and every document they may read can still be found.
    """
    rng, chance = np.random.default_rng(7), random.Random(7)
    many = [
        document(n, f"secret plan number{n}", acl=tuple(chance.sample(GROUPS, chance.randint(0, 3))))
        for n in range(2000)
    ]
    vectors = unit(rng, len(many))
    await put_many(conn, many, vectors)
    acl = {one.uri: set(one.acl) for one in many}
    for _ in range(300):
        groups, target = tuple(chance.sample(GROUPS, chance.randint(0, 3))), chance.randrange(len(many))
        found = await retrieve.search(
            conn, Question(f"secret plan number{target}"), vectors[target], ENCODER, Scope(groups, k=20)
        )
        assert all(not acl[one.uri] or acl[one.uri] & set(groups) for one in found.evidence)
        may_read = not acl[f"page-{target}"] or bool(acl[f"page-{target}"] & set(groups))
        assert (f"page-{target}" in {one.uri for one in found.evidence}) == may_read


async def test_documents_one_may_not_read_change_no_score(conn: AsyncConnection) -> None:
    """How rare a word is, is counted among readable documents: ranks tell nothing of the others."""
    vectors = unit(np.random.default_rng(1), 40)
    await put_many(conn, [document(n, f"printer floor number{n}") for n in range(5)], vectors[:5])
    question = Question("printer number3")
    before = await retrieve.search(conn, question, vectors[0], ENCODER)
    await put_many(conn, [document(n, "printer number3", acl=("board",)) for n in range(5, 40)], vectors[5:])
    assert await retrieve.search(conn, question, vectors[0], ENCODER) == before


@pytest.mark.parametrize("share", [1, 25])
async def test_a_large_index_keeps_its_recall(conn: AsyncConnection, share: int) -> None:
    """Past the exact limit: recall at 10 against numpy for everybody, and for those who may read one part in 25."""
    rng = np.random.default_rng(3)
    topics = unit(rng, 400)  # clustered as sentences are; of vectors without any structure no graph finds the nearest
    vectors = near(rng, topics[rng.integers(0, 400, 12_000)])
    shelves = "insert into shelves (source, acl) select 'docs', array['g' || n] from generate_series(0, %s) n"
    await conn.execute(shelves, (share - 1,))
    await conn.execute(
        "insert into documents (shelf_id, source, uri, title, kind, content_sha256) "
        "select min(id), 'docs', 'all', '', 'text', '' from shelves"
    )
    await conn.execute("drop index chunks_near")
    copying = "copy chunks (document_id, shelf_id, ordinal, text, encoder, embedding) from stdin"
    async with conn.cursor() as cursor, cursor.copy(copying) as copy:
        for n, vector in enumerate(vectors):
            await copy.write_row((1, n % share + 1, n, "x", ENCODER, documents.literal(vector)))
    await conn.execute("create index chunks_near on chunks using hnsw (embedding halfvec_cosine_ops)")
    await conn.execute("analyze")
    mine = np.arange(0, 12_000, share)
    hits = 0.0
    for query in near(rng, topics[:20]):
        truth = {int(n) for n in mine[np.argsort(-(vectors[mine] @ query))[:10]]}
        found = await retrieve.search(conn, Question("nothing"), query, ENCODER, Scope(("g0",)))
        ordinals = {one.chunk_id - 1 for one in found.evidence}
        hits += len(truth & ordinals) / 10
    assert hits / 20 >= 0.9
