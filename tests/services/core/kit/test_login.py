"""Signing in by identity: real signatures, real metadata services' HTTP, TLS, and a token per new connection."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from services.core.kit import login, schema, workflows
from services.core.kit.database import Pool, build_pool, connection, migrate
from services.core.kit.errors import ConfigurationInvalid, DatabaseUnavailable, LlmUnavailable
from services.core.llm.config import Endpoint, LlmConfig
from services.core.llm.providers import build_model
from services.local.postgres import EmbeddedPostgres
from tests.conftest import free_port
from tests.doorman import Doorman, doorman, is_signed, trust_this_machine
from tests.metadata import Metadata, metadata_services

KEY, SECRET_KEY = "AKIAEXAMPLE", "a-secret-access-key"
WHO = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    with metadata_services() as state:
        for name, value in state.environment.items():
            monkeypatch.setenv(name, value)
        yield state


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role's credentials as EKS Pod Identity leads to them, here by their plainest names."""
    for name, value in {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "eu-central-1",
                        "AWS_DEFAULT_REGION": "eu-central-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, as roles belong to a whole server; it trusts whom the doorman lets through."""
    own = EmbeddedPostgres(open_folder / "login", free_port())
    own.start()
    trust_this_machine(own)
    with psycopg.connect(own.url, autocommit=True) as conn:
        conn.execute(
            'create role gateway login; create role "gateway@acme.iam" login; create role boss login superuser'
        )
    yield own
    own.stop()


@pytest.fixture
def door(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[Doorman]:
    """Lets nobody in until a test says whom."""
    with doorman(server, tmp_path / "door", lambda user, password: False) as at_door:
        yield at_door


def of_newest(metadata: Metadata) -> "login.Callable[[str, str], bool]":
    return lambda _, password: password == metadata.given[-1]


async def seen_by_pool(url: str) -> tuple:
    async with build_pool(url, min_size=1, max_size=1) as pool, connection(pool) as conn:
        return tuple((await (await conn.execute(WHO)).fetchone() or {}).values())


@pytest.mark.usefixtures("aws")
async def test_aws_takes_the_token_that_we_sign(door: Doorman) -> None:
    """Signature Version 4, worked out a second time without botocore; fifteen minutes, and not for another."""
    host = f"localhost:{door.port}"
    door.check = lambda user, token: is_signed(token, secret_key=SECRET_KEY, user=user, host=host)
    assert await seen_by_pool(door.address("aws-iam", "gateway")) == ("gateway", False)  # TLS ends at the door
    (user, token), *_ = door.seen
    late = datetime.now(UTC) + timedelta(minutes=15)
    assert not is_signed(token, secret_key=SECRET_KEY, user=user, host=host, now=late)
    assert not is_signed(token, secret_key=SECRET_KEY, user="worker", host=host)
    assert not is_signed(token, secret_key="another", user=user, host=host)


async def test_google_hands_out_a_token_for_the_database_alone(door: Doorman, metadata: Metadata) -> None:
    """The metadata service is asked for the narrow scope; the user's name holds an @."""
    door.check = of_newest(metadata)
    assert await seen_by_pool(door.address("gcp-iam", "gateway@acme.iam", mode="verify-ca")) == (
        "gateway@acme.iam",
        False,
    )
    (method, path, headers, _), *_ = metadata.asked
    assert (method, headers["metadata-flavor"]) == ("GET", "Google")
    assert parse_qs(urlsplit(path).query) == {"scopes": ["https://www.googleapis.com/auth/sqlservice.login"]}


async def test_a_pod_trades_its_own_token_for_one_of_entra(
    door: Doorman, metadata: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read each time: the cluster renews it."""
    own = tmp_path / "token"
    own.write_text("first")
    for name, value in {"CLIENT_ID": "a-client", "TENANT_ID": "a-tenant", "FEDERATED_TOKEN_FILE": str(own)}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    door.check, metadata.life_s = of_newest(metadata), 200
    assert (await seen_by_pool(door.address("entra", "gateway")))[0] == "gateway"
    own.write_text("second")
    assert (await seen_by_pool(door.address("entra", "gateway")))[0] == "gateway"
    forms = [parse_qs(body) for *_, body in metadata.asked]
    assert [form["client_assertion"] for form in forms] == [["first"], ["second"]]
    assert forms[0]["scope"] == ["https://ossrdbms-aad.database.windows.net/.default"]
    assert {path for _, path, *_ in metadata.asked} == {"/a-tenant/oauth2/v2.0/token"}


async def test_a_machine_of_azure_has_its_own_identity(
    door: Doorman, metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `small` there is no federation: the metadata service answers for the one identity that is named."""
    monkeypatch.setenv("AZURE_CLIENT_ID", "of-the-node")
    door.check = of_newest(metadata)
    assert (await seen_by_pool(door.address("entra", "gateway")))[0] == "gateway"
    query = parse_qs(urlsplit(metadata.asked[0][1]).query)
    assert query["client_id"] == ["of-the-node"]
    assert query["resource"] == ["https://ossrdbms-aad.database.windows.net"]


def test_a_token_is_kept_while_it_is_good_and_renewed_before_it_ends(door: Doorman, metadata: Metadata) -> None:
    """Five minutes before its end it is fetched again, by the next connection that is made."""
    door.check, url = of_newest(metadata), door.address("gcp-iam", "gateway")
    for life_s, wanted in ((3600, 1), (299, 2), (299, 3)):
        metadata.life_s = life_s
        if wanted > 1:
            login._google_tokens.cache_clear()
        for _ in range(2):
            login.connect(url).close()
    assert len(metadata.given) == 1 + 2 + 2


async def test_a_pool_comes_back_with_a_new_token(door: Doorman, metadata: Metadata, server: EmbeddedPostgres) -> None:
    """The server hangs up on every connection, and the old token opens nothing any more."""
    door.check, metadata.life_s = of_newest(metadata), 299
    async with build_pool(door.address("gcp-iam", "gateway"), min_size=2, max_size=2) as pool:
        for _ in range(2):
            before = len(metadata.given)
            await works(pool)
            with psycopg.connect(server.url, autocommit=True) as admin:
                admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gateway'")
            await works(pool)
            assert len(metadata.given) > before


async def works(pool: Pool) -> None:
    """Soon: a connection that is cut off this moment may fail its user once."""
    for _ in range(20):
        try:
            async with connection(pool) as conn:
                await conn.execute("select 1")
        except DatabaseUnavailable:
            continue
        return
    raise AssertionError("the pool does not come back")


def test_the_workflow_engine_signs_in_the_same_way(door: Doorman, metadata: Metadata, server: EmbeddedPostgres) -> None:
    """Its own pool is SQLAlchemy's: launched, cut off, and at work again with another token."""
    from dbos import DBOS

    door.check, metadata.life_s = of_newest(metadata), 299
    migrate(server.url)
    engine = workflows.configure(door.address("gcp-iam", "boss"), executor_id="one", pool_size=2)
    try:
        DBOS.launch()
        assert engine._sys_db.get_workflow_status("none") is None
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'boss'")
        before = len(metadata.given)
        assert engine._sys_db.get_workflow_status("none") is None
        assert len(metadata.given) > before
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)


@pytest.mark.usefixtures("aws")
def test_the_administrator_of_rds_is_read_from_his_secret(door: Doorman, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each connection anew, because AWS changes his password."""
    aws_api = ThreadedMotoServer(port=0, verbose=False)
    aws_api.start()
    url = "http://{}:{}".format(*aws_api.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    try:
        vault = boto3.client("secretsmanager", endpoint_url=url, region_name="eu-central-1")
        arn = vault.create_secret(Name="rds!db", SecretString=json.dumps({"username": "boss", "password": "one/@"}))[
            "ARN"
        ]
        address = f"{door.address('aws-secret', '')}&secret={arn}"
        door.check = lambda user, password: (user, password) == ("boss", "one/@")
        assert login.connect(address).execute("select current_user").fetchone() == ("boss",)
        vault.put_secret_value(SecretId=arn, SecretString=json.dumps({"username": "boss", "password": "two"}))
        door.check = lambda user, password: (user, password) == ("boss", "two")
        login.connect(address).close()
    finally:
        aws_api.stop()


def test_a_server_that_nobody_vouches_for_gets_no_token(door: Doorman, metadata: Metadata, tmp_path: Path) -> None:
    """Another authority, another name in the certificate: the connection ends before the password is sent."""
    with doorman(EmbeddedPostgres(tmp_path, 1), tmp_path / "else", door.check) as elsewhere:
        url = elsewhere.address("gcp-iam", "gateway")
        with pytest.raises(psycopg.OperationalError, match="does not match host name"):
            login.connect(url.replace("localhost", "127.0.0.1"))
        elsewhere.authority = door.authority
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            login.connect(elsewhere.address("gcp-iam", "gateway"))
        assert elsewhere.seen == []


@pytest.mark.parametrize("mode", ["", "?sslmode=require", "?sslmode=verify-full", "?sslrootcert=system"])
def test_a_token_is_never_sent_unverified(mode: str, metadata: Metadata) -> None:
    """The start stops and says what to add, and no token was fetched."""
    with pytest.raises(ConfigurationInvalid, match="sslmode=verify-full&sslrootcert="):
        schema.refuse_foreign(f"postgresql+gcp-iam://gateway@db/pointsman{mode}", "acme")
    assert metadata.asked == []


def test_an_unknown_way_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"signs in by 'azure'.*aws-iam, aws-secret, entra, gcp-iam"):
        login.resolve("postgresql+azure://gateway@db/pointsman")


async def test_a_metadata_service_that_is_down_is_a_database_that_does_not_answer(
    door: Doorman, metadata: Metadata
) -> None:
    """The process waits for it as for the database; the message says which of both, and holds no token."""
    metadata.is_down = True
    login._google_tokens.cache_clear()
    with pytest.raises(psycopg.OperationalError, match=r"No token to sign in with: http://127.*answered 403"):
        login.connect(door.address("gcp-iam", "gateway"))
    schema.refuse_foreign(door.address("gcp-iam", "gateway"), "acme")


@pytest.mark.parametrize("where", ["gateway@db:port", "gateway@", "gateway@:5432"])
def test_an_address_that_is_none_is_a_setting_to_mend(where: str) -> None:
    """Not a traceback at the start of a container."""
    with pytest.raises(ConfigurationInvalid, match="POINTSMAN_DATABASE_URL"):
        login.resolve(f"postgresql+gcp-iam://{where}/pointsman?sslmode=verify-full&sslrootcert=system")


def test_a_host_may_be_an_address_of_version_6(metadata: Metadata) -> None:
    url = login.resolve("postgresql+gcp-iam://gateway@[fd00::5]/pointsman?sslmode=verify-ca&sslrootcert=/ca.pem")
    assert "@[fd00::5]:5432/pointsman?" in url
    assert metadata.given


async def test_a_model_of_azure_is_asked_with_a_token_of_this_workload(metadata: Metadata) -> None:
    """By the same way as the database, for another resource; a service that is down is a model that is."""
    config = LlmConfig(priority="azure:mine", azure=Endpoint(base_url="https://mine.openai.azure.com"))
    client = build_model("azure:mine", config).model.client
    assert await client._api_key_provider() == metadata.given[-1]
    assert "resource=https%3A%2F%2Fcognitiveservices.azure.com" in metadata.asked[-1][1]
    login._entra_tokens.cache_clear()
    metadata.is_down = True
    with pytest.raises(LlmUnavailable, match="azure: No token"):
        await client._api_key_provider()
