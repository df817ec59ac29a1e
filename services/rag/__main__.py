"""Starts the conversations: `python -m services.rag`."""

import uvicorn

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
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
