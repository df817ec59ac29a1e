"""
kserve's model server with five differences: it binds the given host, is ready only with a model, offers protocol v2
and /metrics alone (kserve's repository API lets anyone unload the model), answers bad bodies with `{"error"}`, and
says of a registered version whether it could be served (`/versions/{version}/stored`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated

import structlog
from fastapi import FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse
from grpc import ServicerContext, aio
from grpc_interceptor.exceptions import ResourceExhausted, Unimplemented
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.model_repository import ModelRepository
from kserve.model_server import ModelServer
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as protocol
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.infer_type import InferResponse
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer, metrics_handler
from kserve.protocol.rest.v2_datamodels import ModelMetadataResponse, ModelReadyResponse
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from starlette.requests import ClientDisconnect

from services.core.kit.connections import BoundedConnection
from services.core.kit.errors import NotFound, PointsmanError
from services.core.kit.limits import Limits
from services.router.bodies import (
    BODY_MAX_BYTES,
    LENGTH_HEADER,
    decode_request,
    encode_response,
)
from services.router.model import NAME, RouterServing, VersionUnknown

log = structlog.get_logger()
GRACE_S = 10
RETRY_AFTER_S = "1"
Version = Annotated[str, Path(max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Check = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Address:
    """Where the router listens, and how long it waits there for what was begun."""

    host: str
    http_port: int
    grpc_port: int
    head_timeout_s: float
    body_timeout_s: float


class RouterDataPlane(DataPlane):
    """kserve's data plane says ready always and speaks of itself; ours when the model is, and of the router."""

    def __init__(self, registered: ModelRepository, model: RouterServing) -> None:
        super().__init__(registered)
        self.model = model

    async def ready(self) -> bool:
        return await self._model_registry.is_model_ready(NAME)

    def metadata(self) -> dict:
        return {"name": "pointsman-router", "version": version("pointsman"), "extensions": ["binary_tensor_data"]}

    async def model_metadata(self, model_name: str) -> dict:
        found = await super().model_metadata(model_name)
        return found | {"versions": [self.model.version] if self.model.version else []}


class OneModel(ModelRepositoryExtension):
    """Loading and unloading over the network is not offered: the registry says what is served."""

    async def load(self, model_name: str) -> dict:  # ty: ignore[incompatible-method-override]  # kserve says None, its servicer reads a dict
        raise Unimplemented("Models are changed through the registry: promote another version.")

    async def unload(self, model_name: str) -> dict:  # ty: ignore[incompatible-method-override]  # kserve says None, its servicer reads a dict
        raise Unimplemented("Models are changed through the registry: promote another version.")


class RestServer(RESTServer):
    """REST on the given address, each connection and body bounded as at every other port."""

    def __init__(self, dataplane: RouterDataPlane, address: Address, check: Check | None) -> None:
        self._router, self._check = dataplane, check
        self.app = FastAPI(title="Pointsman router", docs_url=None, redoc_url=None)
        bounded = Limits(self.app, BODY_MAX_BYTES, address.body_timeout_s, words=lambda error: {"error": error.message})
        models = OneModel(dataplane.model_registry)
        super().__init__(bounded, dataplane, models, address.http_port, grace_period=GRACE_S)  # ty: ignore[invalid-argument-type]  # uvicorn takes the app itself as well as its name
        self.config.host = address.host
        self.config.http = partial(BoundedConnection, head_timeout_s=address.head_timeout_s)  # ty: ignore[invalid-assignment]  # only called
        self.config.access_log = False

    def create_application(self) -> None:
        self.app.add_api_route("/metrics", metrics_handler, methods=["GET"])
        self.app.add_api_route(f"/v2/models/{NAME}/versions/{{model_version}}/stored", self._stored, methods=["GET"])
        for method, path, endpoint in self._list_endpoints():
            self.app.add_api_route(f"/v2{path}", endpoint, methods=[method], response_model=None)
        for error, status in STATUS.items():
            self.app.add_exception_handler(error, _answer(status))
        self.app.add_exception_handler(Exception, _answer_failure)

    def _list_endpoints(self) -> list[tuple[str, str, Callable]]:
        """kserve's handlers of protocol v2, less its repository calls; a model's may name its version."""
        v2 = V2Endpoints(self.dataplane)
        return [
            ("GET", "", v2.metadata),
            ("GET", "/health/live", v2.live),
            ("GET", "/health/ready", v2.ready),
            ("GET", "/models", v2.models),
            *(
                (method, f"/models/{{model_name}}{of_version}{path}", endpoint)
                for of_version in ("", "/versions/{model_version}")
                for method, path, endpoint in (
                    ("GET", "", self._model_metadata),
                    ("GET", "/ready", self._model_ready),
                    ("POST", "/infer", self._infer),
                )
            ),
        ]

    async def _model_metadata(self, model_name: str, model_version: str = "") -> ModelMetadataResponse:
        found = await V2Endpoints(self.dataplane).model_metadata(model_name)
        self._router.model.check_version(model_version)
        return found

    async def _model_ready(self, model_name: str, model_version: str = "") -> ModelReadyResponse:
        found = await V2Endpoints(self.dataplane).model_ready(model_name)
        self._router.model.check_version(model_version)
        return found

    async def _stored(self, model_version: Version) -> JSONResponse:
        """What keeps the version from being served, empty where nothing does; not of the protocol."""
        if self._check is None:
            raise NotImplementedError("This router serves one folder and knows no registry.")
        try:
            await self._check(model_version)
        except NotFound as exc:
            return JSONResponse({"error": exc.message}, exc.status)
        except PointsmanError as exc:
            return JSONResponse({"version": model_version, "problem": exc.message})
        return JSONResponse({"version": model_version, "problem": ""})

    async def _infer(self, request: Request, model_name: str, model_version: str = "") -> Response:
        if not await self.dataplane.model_ready(model_name):
            raise ModelNotReady(model_name)
        asked = decode_request(await request.body(), request.headers.get(LENGTH_HEADER), model_name, model_version)
        answer, _ = await self.dataplane.infer(model_name, asked)
        assert isinstance(answer, InferResponse)  # what our model makes
        return encode_response(answer)


class Servicer(InferenceServicer):
    """kserve's, which forgets the versions."""

    def __init__(self, dataplane: RouterDataPlane, extension: ModelRepositoryExtension) -> None:
        super().__init__(dataplane, extension)
        self._router = dataplane

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: ServicerContext
    ) -> pb.ModelMetadataResponse:
        found = await self._router.model_metadata(request.name)
        self._router.model.check_version(request.version)
        return pb.ModelMetadataResponse(**found)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: ServicerContext) -> pb.ModelReadyResponse:
        is_ready = await self._router.model_ready(request.name)
        self._router.model.check_version(request.version)
        return pb.ModelReadyResponse(ready=is_ready)


class GrpcServer(GRPCServer):
    """gRPC on the given host, without the repository calls."""

    def __init__(self, dataplane: RouterDataPlane, *, host: str, port: int) -> None:
        super().__init__(port, dataplane, OneModel(dataplane.model_registry), kwargs={}, grace_period=GRACE_S)
        self._host, self._router = host, dataplane

    async def start(self, max_workers: int = 2) -> None:
        limits = [
            ("grpc.max_receive_message_length", BODY_MAX_BYTES),
            ("grpc.max_send_message_length", BODY_MAX_BYTES),
        ]
        self._server = aio.server(
            ThreadPoolExecutor(max_workers), interceptors=(ExceptionToStatusInterceptor(),), options=limits
        )
        protocol.add_GRPCInferenceServiceServicer_to_server(
            Servicer(self._router, self._model_repository_extension), self._server
        )
        self._server.add_insecure_port(f"{self._host}:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()


class RouterServer(ModelServer):
    """Serves one model over REST and gRPC until SIGTERM, beside a task that keeps the model current."""

    def __init__(self, model: RouterServing, address: Address, check: Check | None = None) -> None:
        registered = ModelRepository()
        registered.update(model)
        super().__init__(
            address.http_port, address.grpc_port, registered_models=registered, enable_latency_logging=False
        )
        self.dataplane = RouterDataPlane(registered, model)
        self._rest_server = self._rest = RestServer(self.dataplane, address, check)
        self._grpc_server = self._grpc = GrpcServer(self.dataplane, host=address.host, port=address.grpc_port)

    def run(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Blocks until the server is stopped; `follow` runs beside it and is cancelled at the end."""
        self.register_signal_handler()
        asyncio.run(self._run(follow))

    async def _run(self, follow: Callable[[], Awaitable[None]]) -> None:
        follower = asyncio.ensure_future(follow())
        try:
            await asyncio.gather(self._rest.start(), self._grpc.start())
        finally:
            follower.cancel()


STATUS = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    PointsmanError: HTTPStatus.BAD_REQUEST,  # a body over its bounds: the layer around us answers, not we
    ClientDisconnect: HTTPStatus.BAD_REQUEST,  # nobody reads it
    ModelNotFound: HTTPStatus.NOT_FOUND,
    VersionUnknown: VersionUnknown.status,
    ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    ServerNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    NotImplementedError: HTTPStatus.NOT_IMPLEMENTED,
    ResourceExhausted: HTTPStatus.SERVICE_UNAVAILABLE,
}


def _answer(status: HTTPStatus) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_: Request, exc: Exception) -> JSONResponse:
        message = getattr(exc, "details", None) or str(exc)
        headers = {"Retry-After": RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return JSONResponse({"error": message}, status, headers)

    return answer


async def _answer_failure(_: Request, exc: Exception) -> JSONResponse:
    log.error("router.request.failed", error=type(exc).__name__)
    return JSONResponse({"error": "The router failed on this request; its log names the error."}, 500)
