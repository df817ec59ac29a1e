"""Starts the conversations: `python -m services.rag`."""

from functools import partial

import uvicorn

from services.core.kit.connections import BoundedConnection
from services.core.kit.telemetry import configure_logs
from services.rag.app import build_app
from services.rag.settings import RagSettings


def main() -> None:
    settings = RagSettings.read()
    configure_logs("rag", settings.log_level)
    uvicorn.run(
        build_app(settings),
        host=settings.rag_host,
        port=settings.rag_port,
        http=partial(BoundedConnection, head_timeout_s=settings.head_timeout_s),  # ty: ignore[invalid-argument-type]  # only called
        ws="none",
        limit_concurrency=settings.connections_max,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
