"""
kserve's model server with four differences: it binds the given host, is ready only with a model, offers protocol v2
and /metrics alone (kserve's repository API lets anyone unload the model), and answers bad bodies with `{"error"}`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from grpc import aio
from grpc_interceptor.exceptions import ResourceExhausted, Unimplemented
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.model_repository import ModelRepository
from kserve.model_server import ModelServer
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as protocol
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer, metrics_handler
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from kserve.protocol.rest.v2_endpoints import V2Endpoints

from services.router.model import NAME, RouterServing

log = structlog.get_logger()
GRPC_MESSAGE_MAX_BYTES = 8 * 1024 * 1024  # 256 texts of 32 kB
GRACE_S = 10
RETRY_AFTER_S = "1"


class ReadyDataPlane(DataPlane):
    """kserve's data plane says ready always; ours when the model is."""

    async def ready(self) -> bool:
        return await self._model_registry.is_model_ready(NAME)


class OneModel(ModelRepositoryExtension):
    """Loading and unloading over the network is not offered: the registry says what is served."""

    async def load(self, model_name: str) -> dict:  # ty: ignore[incompatible-method-override]  # kserve says None, its servicer reads a dict
        raise Unimplemented("Models are changed through the registry: promote another version.")

    async def unload(self, model_name: str) -> dict:  # ty: ignore[incompatible-method-override]  # kserve says None, its servicer reads a dict
        raise Unimplemented("Models are changed through the registry: promote another version.")


class RestServer(RESTServer):
    """REST on the given host."""

    def __init__(self, dataplane: DataPlane, *, host: str, port: int) -> None:
        self.app = FastAPI(title="Pointsman router", docs_url=None, redoc_url=None)
        super().__init__(self.app, dataplane, OneModel(dataplane.model_registry), port, grace_period=GRACE_S)  # ty: ignore[invalid-argument-type]  # uvicorn takes the app itself as well as its name
        self.config.host = host
        self.config.access_log = False

    def create_application(self) -> None:
        self.app.add_api_route("/metrics", metrics_handler, methods=["GET"])
        for method, path, endpoint in self._list_endpoints():
            self.app.add_api_route(f"/v2{path}", endpoint, methods=[method], response_model=None)
        for error, status in STATUS.items():
            self.app.add_exception_handler(error, _answer(status))
        self.app.add_exception_handler(RequestValidationError, _answer_validation)
        self.app.add_exception_handler(Exception, _answer_failure)

    def _list_endpoints(self) -> list[tuple[str, str, Callable]]:
        """kserve's handlers of protocol v2, less its repository calls."""
        v2 = V2Endpoints(self.dataplane)
        return [
            ("GET", "", v2.metadata),
            ("GET", "/health/live", v2.live),
            ("GET", "/health/ready", v2.ready),
            ("GET", "/models", v2.models),
            ("GET", "/models/{model_name}", v2.model_metadata),
            ("GET", "/models/{model_name}/ready", v2.model_ready),
            ("POST", "/models/{model_name}/infer", self._infer),
        ]

    async def _infer(
        self, request: Request, response: Response, model_name: str, body: InferenceRequest | bytes
    ) -> Response:
        """kserve's handler, its answer written by pydantic: FastAPI's own encoder walks every float in Python."""
        answer = await V2Endpoints(self.dataplane).infer(request, response, model_name, body)
        if isinstance(answer, Response):
            return answer
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


class GrpcServer(GRPCServer):
    """gRPC on the given host, without the repository calls."""

    def __init__(self, dataplane: DataPlane, *, host: str, port: int) -> None:
        super().__init__(port, dataplane, OneModel(dataplane.model_registry), kwargs={}, grace_period=GRACE_S)
        self._host = host

    async def start(self, max_workers: int = 2) -> None:
        limits = [
            ("grpc.max_receive_message_length", GRPC_MESSAGE_MAX_BYTES),
            ("grpc.max_send_message_length", GRPC_MESSAGE_MAX_BYTES),
        ]
        self._server = aio.server(
            ThreadPoolExecutor(max_workers), interceptors=(ExceptionToStatusInterceptor(),), options=limits
        )
        protocol.add_GRPCInferenceServiceServicer_to_server(
            InferenceServicer(self._data_plane, self._model_repository_extension), self._server
        )
        self._server.add_insecure_port(f"{self._host}:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()


class RouterServer(ModelServer):
    """Serves one model over REST and gRPC until SIGTERM, beside a task that keeps the model current."""

    def __init__(self, model: RouterServing, *, host: str, http_port: int, grpc_port: int) -> None:
        registered = ModelRepository()
        registered.update(model)
        super().__init__(http_port, grpc_port, registered_models=registered, enable_latency_logging=False)
        self.dataplane = ReadyDataPlane(registered)
        self._rest_server = self._rest = RestServer(self.dataplane, host=host, port=http_port)
        self._grpc_server = self._grpc = GrpcServer(self.dataplane, host=host, port=grpc_port)

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
    ModelNotFound: HTTPStatus.NOT_FOUND,
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


async def _answer_validation(_: Request, exc: Exception) -> JSONResponse:
    """kserve would answer FastAPI's own shape, which repeats the text that was sent."""
    assert isinstance(exc, RequestValidationError)  # registered for this class only
    problem = exc.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return JSONResponse({"error": f"Not an inference request of protocol v2: {where}: {problem['msg']}."}, 400)


async def _answer_failure(_: Request, exc: Exception) -> JSONResponse:
    log.error("router.request.failed", error=type(exc).__name__)
    return JSONResponse({"error": "The router failed on this request; its log names the error."}, 500)
