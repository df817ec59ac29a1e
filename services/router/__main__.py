"""Starts the router: `python -m services.router [--http-port 8081] [--grpc-port 8082] [--model-dir FOLDER]`."""

import argparse
import sys
from pathlib import Path

from services.core.kit.collecting import settle
from services.core.kit.errors import ConfigurationInvalid, PointsmanError
from services.core.kit.schema import refuse_foreign
from services.core.kit.telemetry import configure_logs, configure_traces
from services.router.settings import RouterSettings
from services.router.slim import import_slim


def main() -> None:
    arguments = _parse_arguments()
    try:
        settings = _settings(arguments)
        configure_logs("router", settings.log_level)
        configure_traces("router")
        _serve(settings)
    except PointsmanError as exc:
        sys.exit(f"router: {exc}")


def _serve(settings: RouterSettings) -> None:
    if settings.router_model_dir is None:
        refuse_foreign(settings.database_url.get_secret_value(), settings.company)
    import_slim()
    from services.router.follow import build_follower
    from services.router.metrics import observe, show_queue
    from services.router.model import Limits, RouterServing
    from services.router.registered import StoreWatch
    from services.router.server import Address, RouterServer

    limits = Limits(settings.router_batch_max, settings.router_queue_max, settings.router_request_max)
    model = RouterServing(limits, observe=observe)
    show_queue(lambda: model.batcher.queued_texts)
    follow = build_follower(model, settings)
    address = Address(
        settings.router_host,
        settings.router_http_port,
        settings.router_grpc_port,
        settings.head_timeout_s,
        settings.body_timeout_s,
    )
    check = StoreWatch(settings).check if settings.router_model_dir is None else None
    server = RouterServer(model, address, check)
    settle()
    server.run(follow)


def _settings(arguments: argparse.Namespace) -> RouterSettings:
    given = {f"router_{name}": value for name, value in vars(arguments).items() if value is not None}
    settings = RouterSettings.read().model_copy(update=given)
    if settings.router_model_dir is None and not settings.database_url.get_secret_value():
        raise ConfigurationInvalid(
            "No model to serve: set POINTSMAN_DATABASE_URL (the registry's database), for example "
            "postgresql://pointsman@127.0.0.1:5432/pointsman, or pass --model-dir FOLDER."
        )
    return settings


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.router", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--http-port", type=int, help="REST, protocol v2 (default 8081)")
    parser.add_argument("--grpc-port", type=int, help="gRPC, protocol v2 (default 8082)")
    parser.add_argument("--model-dir", type=Path, help="serve this bundle folder instead of the registry's champion")
    return parser.parse_args()


if __name__ == "__main__":
    main()
