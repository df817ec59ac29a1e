"""Starts the gateway: `python -m services.gateway`."""

import uvicorn

from services.core.kit.telemetry import configure_logs
from services.gateway.app import build_app
from services.gateway.settings import GatewaySettings


def main() -> None:
    settings = GatewaySettings.read()
    configure_logs("gateway", settings.log_level)
    uvicorn.run(
        build_app(settings),
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,  # paths are logged by the load balancer; ours would double every line
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
