"""Starts the gateway: `python -m services.gateway`."""

import sys
from functools import partial

import uvicorn

from services.core.kit.collecting import settle
from services.core.kit.connections import BoundedConnection
from services.core.kit.errors import PointsmanError
from services.core.kit.schema import refuse_foreign
from services.core.kit.telemetry import configure_logs
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings

BACKLOG = 512  # connections that wait to be taken; beyond it the network itself says no


def main() -> None:
    try:
        settings = GatewaySettings.read()
        refuse_foreign(settings.database_url.get_secret_value(), settings.company)
    except PointsmanError as exc:
        sys.exit(f"gateway: {exc}")
    configure_logs("gateway", settings.log_level)
    app = build_app(settings)
    settle()
    uvicorn.run(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        http=partial(BoundedConnection, head_timeout_s=settings.head_timeout_s),  # ty: ignore[invalid-argument-type]  # only called
        ws="none",
        limit_concurrency=settings.connections_max,
        backlog=BACKLOG,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        log_config=None,
        access_log=False,  # paths are logged by the load balancer; ours would double every line
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
