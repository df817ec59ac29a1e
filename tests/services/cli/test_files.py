"""Any usual export becomes tickets; what cannot is reported with its line and the reason."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.contracts.facts import digests
from services.core.contracts.ticket import BODY_MAX_CHARS, SUBJECT_MAX_CHARS
from services.core.history.rows import BadRow, Row, fingerprint, read_rows
from services.core.kit.errors import InputInvalid
from services.core.text.columns import ColumnsInvalid, parse_map, resolve
from services.core.text.moments import parse_time
from services.core.text.outcomes import level
from services.core.text.records import Malformed, count, inspect, records

LF, CRLF = "\n", "\r\n"


def write(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def rows_of(path: Path, mapping: str = "") -> list[Row | BadRow]:
    file = inspect(path)
    return list(read_rows(file, resolve(file.columns, parse_map(mapping))))


def tickets_of(path: Path, mapping: str = "") -> list[Row]:
    rows = rows_of(path, mapping)
    tickets = [row for row in rows if isinstance(row, Row)]
    assert tickets == rows
    return tickets


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", [LF, CRLF])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_csv_with_any_delimiter_and_line_end(tmp_path: Path, delimiter: str, newline: str, name: str) -> None:
    """The delimiter is found in the header; quoted fields keep delimiters and line breaks."""
    quoted = f'"two{newline}lines{delimiter} one field"'
    path = write(
        tmp_path,
        name,
        newline.join([delimiter.join(("Title", "Text", "Team")), f"VPN{delimiter}{quoted}{delimiter}Net", ""]),
    )
    (row,) = tickets_of(path)
    assert row == Row(2, row.external_id, "VPN", f"two{newline}lines{delimiter} one field", "Net")


@pytest.mark.parametrize(
    ("encoding", "notice"), [("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("cp1252", "cp1252")]
)
def test_encodings(tmp_path: Path, encoding: str, notice: str | None) -> None:
    """Umlauts survive every usual encoding; a guess at it is said."""
    path = write(tmp_path, "t.csv", "subject,body\nGrüße,Größe – 5 €\n", encoding)
    file = inspect(path)
    (row,) = tickets_of(path)
    assert (row.subject, row.body) == ("Grüße", "Größe – 5 €")
    assert (file.notice is None) if notice is None else (notice in str(file.notice))


def test_bytes_of_no_encoding_are_read_as_latin_1_with_a_notice(tmp_path: Path) -> None:
    """Nothing is refused for its accents, but the reader is told."""
    path = write(tmp_path, "t.csv", b"subject,body\nfa\xe7ade,\x81\n")
    assert "latin-1" in (inspect(path).notice or "")
    assert tickets_of(path)[0].subject == "façade"


def test_json_lines_and_json_array_give_the_same_rows(tmp_path: Path) -> None:
    """The three JSON shapes differ in line numbers only."""
    tickets = [
        {"id": i, "title": f"t{i}", "description": "x" * i, "labels": ["a"], "none": None} for i in range(1, 300)
    ]
    lines = write(tmp_path, "t.jsonl.gz", "\n".join(map(json.dumps, tickets)))
    array = write(tmp_path, "t.json", json.dumps(tickets, indent=1))
    compact = write(tmp_path, "c.json", json.dumps(tickets, separators=(",", ":")))
    contents = [[(r.external_id, r.subject, r.body) for r in tickets_of(path)] for path in (lines, array, compact)]
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) == 299


def test_json_array_knows_its_lines(tmp_path: Path) -> None:
    """The line of a record is where its brace opens."""
    path = write(tmp_path, "t.json", '[\n{"title": "a"},\n\n{"title": "b",\n"body": "c"}\n,"oops"]\n')
    rows = rows_of(path)
    assert [row.line for row in rows] == [2, 4, 6]
    assert isinstance(rows[2], BadRow)


@given(st.lists(st.dictionaries(st.sampled_from(["title", "body"]), st.text(max_size=30), min_size=1), min_size=1))
def test_any_json_array_is_read_back(tmp_path_factory: pytest.TempPathFactory, tickets: list[dict[str, str]]) -> None:
    """Writing records and reading them gives the records."""
    path = write(tmp_path_factory.mktemp("array"), "t.json", json.dumps(tickets))
    assert [record for _, record in records(inspect(path))] == tickets


def test_a_record_longer_than_the_buffer_is_read(tmp_path: Path) -> None:
    """A body at the limit comes through in every format; one character more is a bad row."""
    for size, is_row in ((BODY_MAX_CHARS, True), (BODY_MAX_CHARS + 1, False)):
        body = "x" * size
        for name, text in (("t.json", json.dumps([{"body": body}])), ("t.jsonl", json.dumps({"body": body}))):
            (row,) = rows_of(write(tmp_path, name, text))
            assert isinstance(row, Row) is is_row
    (row,) = rows_of(write(tmp_path, "t.csv", f"subject,body\na,{'x' * BODY_MAX_CHARS}\n"))
    assert isinstance(row, Row)


def test_malformed_records_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    """Too few fields, too many, a stray quote, no text: each with its line, and the good ones still come."""
    path = write(tmp_path, "t.csv", 'id,subject,body\n1,a,b\n2,a\n3,a,b,c\n4,"a"x,b\n5,,\n\n6,"e\nf",g\n7,h,i\n')
    rows = rows_of(path)
    assert [row.external_id for row in rows if isinstance(row, Row)] == ["1", "6", "7"]
    bad = [(row.line, row.why) for row in rows if isinstance(row, BadRow)]
    assert [line for line, _ in bad] == [3, 4, 5, 6]
    assert "2 fields where the header has 3" in bad[0][1]
    assert "broken CSV" in bad[2][1]
    assert "no text" in bad[3][1]
    assert rows[-1].line == 10


@pytest.mark.parametrize("after", ["e,f", 'e,"f"', '"e","f\ng"', '"e","f""g"'])
def test_a_quote_that_never_closes_is_one_bad_row(tmp_path: Path, after: str) -> None:
    """It swallows neither the rest of the file nor the next row with a quote; its line is named."""
    path = write(tmp_path, "t.csv", f'subject,body\na,b\nc,"d\n{after}\nh,i\n')
    rows = rows_of(path)
    assert [type(row) for row in rows] == [Row, BadRow, Row, Row]
    assert [row.line for row in rows[:3]] == [2, 3, 4]
    assert rows[2].subject == "e"
    assert rows[3].line == 5 + after.count("\n")
    assert isinstance(rows[1], BadRow)
    assert "are read by themselves" in rows[1].why
    assert count(inspect(path)) == 4


def test_broken_json_lines_are_bad_rows(tmp_path: Path) -> None:
    """A line that is no object does not stop the others."""
    rows = rows_of(write(tmp_path, "t.jsonl", '{"body": "a"}\n{"body": \n[1]\n\n{"body": NaN}\n{"body": "b"}\n'))
    assert [(row.line, type(row)) for row in rows] == [(1, Row), (2, BadRow), (3, BadRow), (5, BadRow), (6, Row)]


def test_text_that_no_database_stores_is_cleaned(tmp_path: Path) -> None:
    """A NUL goes, half a surrogate pair becomes a question mark."""
    (row,) = tickets_of(write(tmp_path, "t.jsonl", r'{"body": "a\u0000b\ud800c", "team": "x\u0000"}'))
    assert (row.body, row.group) == ("ab?c", "x")


def test_count_agrees_with_what_is_read(tmp_path: Path) -> None:
    """Bad rows count too: a progress bar reaches its end."""
    path = write(tmp_path, "t.csv", 'subject,body\na,"b\nc"\nd\ne,f\n')
    assert count(inspect(path)) == len(rows_of(path)) == 3


def test_ids_are_stable_and_distinct(tmp_path: Path) -> None:
    """Without an id column the content and the line make one; equal tickets on two lines stay two."""
    path = write(tmp_path, "t.csv", "subject,body\na,b\na,b\n")
    first, second = (row.external_id for row in tickets_of(path))
    assert first != second
    assert [row.external_id for row in tickets_of(path)] == [first, second]


def test_limits_of_subject_and_id(tmp_path: Path) -> None:
    """One character over the limit is a bad row that names the field."""
    for subject, ticket_id, problem in (
        ("s" * SUBJECT_MAX_CHARS, "i" * 128, None),
        ("s" * (SUBJECT_MAX_CHARS + 1), "i", "subject"),
        ("s", "i" * 129, "id"),
    ):
        (row,) = rows_of(write(tmp_path, "t.csv", f"id,subject\n{ticket_id},{subject}\n"))
        assert (problem in row.why) if isinstance(row, BadRow) and problem else problem is None


def test_columns_are_guessed_and_the_map_wins() -> None:
    """Names are compared without case, spaces and hyphens; a mapped column is not guessed for another field."""
    columns = ["Short description", "Description", "Assignment-Group", "Number", "Opened At", "Category"]
    assert resolve(columns, {}) == {
        "subject": "Short description",
        "body": "Description",
        "group": "Assignment-Group",
        "external_id": "Number",
        "created_at": "Opened At",
    }
    assert resolve(columns, {"group": "Category", "created_at": ""})["group"] == "Category"
    assert "created_at" not in resolve(columns, {"created_at": ""})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject", ["'subject' has no '='", "--map subject=title"]),
        ("titel=a", ["'titel' is not a field", "subject, body, group"]),
        ("body=a,body=b", ["'body' is named twice"]),
    ],
)
def test_a_wrong_map_says_how_to_write_it(text: str, words: list[str]) -> None:
    """The message names the part that is wrong and shows a right one."""
    with pytest.raises(ColumnsInvalid) as caught:
        parse_map(text)
    assert all(word in caught.value.message for word in words)


def test_a_comma_in_a_column_name_can_be_written() -> None:
    """A backslash keeps the comma."""
    assert parse_map(r"body=What\, exactly,group=Team") == {"body": "What, exactly", "group": "Team"}


def test_missing_columns_are_named_with_the_map_to_try() -> None:
    """What is missing, what there is, and the option to type."""
    with pytest.raises(ColumnsInvalid) as caught:
        resolve(["id", "summary", "project"], {}, required=("group",))
    assert "'group'" in caught.value.message
    assert "id, summary, project" in caught.value.message
    assert "--map 'group=project'" in caught.value.message
    with pytest.raises(ColumnsInvalid, match="no column 'topic'"):
        resolve(["id", "summary"], {"group": "topic"})
    with pytest.raises(ColumnsInvalid, match="subject or body"):
        resolve(["id", "impact"], {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T08:00:00+02:00", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("2026-11-20 08:00:00.814+00:00", datetime(2026, 11, 20, 8, 0, 0, 814000, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("20.11.2026 08:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("11/20/2026 08:00:00 PM", datetime(2026, 11, 20, 20, tzinfo=UTC)),
        ("1795161600", datetime(2026, 11, 20, 8, tzinfo=UTC)),
    ],
)
def test_times_become_utc(text: str, expected: datetime) -> None:
    """The usual spellings of a time, converted at the edge."""
    assert parse_time("created_at", text) == expected


def test_a_time_that_cannot_be_read_is_a_bad_row(tmp_path: Path) -> None:
    """The reason names the column and how to leave it out, and nothing of what stood there; leaving it out works."""
    path = write(tmp_path, "t.csv", "body,Created\na,call eva@example.org\nb,?\n")
    bad, good = rows_of(path)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.why.split(" ")[0], "--map created_at=" in bad.why) == (2, "Created", True)
    assert "eva" not in bad.why
    assert isinstance(good, Row)
    assert good.created_at is None
    assert all(isinstance(row, Row) for row in rows_of(path, "created_at="))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("book.xlsx", b"PK\x03\x04\x14\x00\x00\x00", "Save it as CSV"),
        ("broken.json", b'[{"body": "a"}, {"body": ', "breaks off"),
    ],
)
def test_unusable_files_say_what_to_do(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """No traceback for a file that is none."""
    with pytest.raises(InputInvalid, match=words):
        rows_of(write(tmp_path, name, content))


def test_a_cut_off_gzip_is_refused(tmp_path: Path) -> None:
    """A half download is not taken for a whole export."""
    whole = gzip.compress(b"subject,body\n" + b"a,b\n" * 1000)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputInvalid, match="cut off"):
        rows_of(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(InputInvalid, match=r"gone\.csv cannot be read"):
        inspect(tmp_path / "gone.csv")


def test_reading_is_a_stream(tmp_path: Path) -> None:
    """The first row is there before the broken end of the file is reached."""
    path = write(tmp_path, "t.json", "[" + '{"body": "a"},' * 20_000 + '{"body": ')
    stream = records(inspect(path))
    assert next(stream) == (1, {"body": "a"})
    with pytest.raises(InputInvalid):
        list(stream)


def test_fingerprint_changes_with_file_and_mapping(tmp_path: Path) -> None:
    """The same file read with another mapping is another import."""
    path = write(tmp_path, "t.csv", "subject,body\na,b\n")
    one = fingerprint(path, {"body": "body"})
    assert one == fingerprint(path, {"body": "body"})
    assert one != fingerprint(path, {"body": "subject"})
    path.write_text("subject,body\na,c\n")
    assert one != fingerprint(path, {"body": "body"})


@pytest.mark.parametrize(
    ("name", "total", "bad", "fields"),
    [
        ("endava_tickets/test.csv.gz", 815, 0, {"subject": "title", "body": "body", "group": "topic_group"}),
        ("itsm_assignment_groups/train.csv.gz", 5427, 1, {"group": "assignment_group"}),
        ("banking77/test.csv.gz", 1155, 0, {"body": "text", "group": "label"}),
        ("jira_tickets/test.jsonl.gz", 528, 0, {"subject": "summary", "solved_at": "resolved"}),
        ("github_issue_types/test.jsonl.gz", 1050, 0, {"subject": "title", "group": "label"}),
        ("cfpb_complaints/test.csv.gz", 168, 0, {"body": "text"}),
    ],
)
def test_real_exports_are_read_without_a_map(
    data_dir: Path, name: str, total: int, bad: int, fields: dict[str, str]
) -> None:
    """Public ticket sets come in whole, by guessed columns."""
    file = inspect(data_dir / name)
    mapping = resolve(file.columns, {})
    rows = list(read_rows(file, mapping))
    assert fields.items() <= mapping.items()
    assert len(rows) == count(file) == total
    assert sum(isinstance(row, BadRow) for row in rows) == bad
    assert not any(isinstance(record, Malformed) for _, record in records(file))
    assert len({row.external_id for row in rows if isinstance(row, Row)}) == total - bad


def test_columns_are_joined_as_evaluate_joins_them(tmp_path: Path) -> None:
    """A file's own column of such a name goes first; one that is not there is named."""
    path = write(tmp_path, "t.csv", "title,details,team\nVPN,drops,Net\nScreen,,Desk\n")
    assert [row.body for row in tickets_of(path, "text=title+details,group=team")] == ["VPN\ndrops", "Screen"]
    assert [row.subject for row in tickets_of(path, "text=title+details,group=team")] == ["", ""]
    for wrong, named in (("title+nothing", "nothing"), ("+", r"\+")):
        with pytest.raises(ColumnsInvalid, match=f"no column '{named}'"):
            rows_of(path, f"text={wrong}")
    own = write(tmp_path, "own.csv", "a+b,a,team\nwhole,part,Net\n")
    assert [row.body for row in tickets_of(own, "text=a+b,group=team")] == ["whole"]


@pytest.mark.parametrize(
    ("said", "read"),
    [("2 - Medium", "medium"), ("HIGH", "high"), ("3", "low"), ("1 - 2", None), ("ask eva", None), ("", None)],
)
def test_impact_is_one_of_our_words_or_nothing(said: str, read: str | None) -> None:
    """What a wrong column holds is not stored as it stands."""
    assert level(said) == read


def test_what_became_of_a_ticket_is_read_beside_its_group(tmp_path: Path) -> None:
    """What is no number of hours, or neither yes nor no, says nothing."""
    lines = ["body,team,opened_at,contact_type,impact,urgency,made_sla,hours_to_resolve",
             "a,Net,2026-11-20 08:00,Phone,2 - Medium,1,false,2.5",
             "b,Net,2026-11-20 08:00,phone,,,perhaps,soon"]  # fmt: skip
    one, other = tickets_of(write(tmp_path, "t.csv", "\n".join(lines) + "\n"))
    assert one.outcome == {"hours": 2.5, "impact": "medium", "urgency": "high", "breached": True}
    assert other.outcome == {}
    assert one.categories == other.categories == digests({"channel": "phone"})


def test_city_requests_are_read_without_a_map(tmp_path: Path) -> None:
    """New York's 311 export: the agency is the group, its American times are read, a bad date is named by its line."""
    header = "Unique Key,Created Date,Closed Date,Agency,Complaint Type,Descriptor,Borough"
    lines = [
        "6001,11/20/2026 08:05:00 PM,11/21/2026 09:00:00 AM,NYPD,Noise - Residential,Loud Music/Party,BROOKLYN",
        "6002,no day,,DOT,Street Condition,Pothole,QUEENS",
    ]
    good, bad = rows_of(write(tmp_path, "311.csv", "\n".join([header, *lines]) + "\n"))
    assert isinstance(good, Row)
    assert (good.external_id, good.group, good.subject, good.body) == (
        "6001", "NYPD", "Noise - Residential", "Loud Music/Party",
    )  # fmt: skip
    assert good.created_at == datetime(2026, 11, 20, 20, 5, tzinfo=UTC)
    assert good.solved_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert good.categories == digests({"borough": " Brooklyn"})  # a digest: equal or not is all that is asked of it
    assert "brooklyn" not in str(good.categories).lower()
    assert isinstance(bad, BadRow)
    assert (bad.line, "created_at" in bad.why) == (3, True)
