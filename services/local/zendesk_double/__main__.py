"""Runs the double: `python -m services.local.zendesk_double --port 8090 --webhook http://127.0.0.1:8080/hooks/zendesk`."""

import argparse
import secrets
import sys

import uvicorn

from services.local.zendesk_double.app import create_app
from services.local.zendesk_double.calls import DoubleSettings


def main() -> None:
    arguments = _parser().parse_args()
    settings = DoubleSettings(
        integration_token=arguments.integration_token or secrets.token_urlsafe(24),
        agent_token=arguments.agent_token or secrets.token_urlsafe(24),
        webhook_url=arguments.webhook,
        webhook_secret=arguments.webhook_secret or secrets.token_urlsafe(24),
        requests_per_minute=arguments.requests_per_minute,
        copies=arguments.copies,
    )
    sys.stderr.write(_greeting(settings, port=arguments.port))
    uvicorn.run(create_app(settings), host="127.0.0.1", port=arguments.port, date_header=False, log_level="warning")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.local.zendesk_double", description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--webhook", help="where signed event webhooks go; none are sent without it")
    parser.add_argument("--webhook-secret", help="made up when not given")
    parser.add_argument("--integration-token", help="API token of pointsman@example.com (user 903)")
    parser.add_argument("--agent-token", help="API token of agent@example.com (user 902)")
    parser.add_argument("--requests-per-minute", type=int, default=700)
    parser.add_argument("--copies", type=int, default=1, help="2 sends every event twice")
    return parser


def _greeting(settings: DoubleSettings, *, port: int) -> str:
    return (
        f"Zendesk double on http://127.0.0.1:{port} (docs at /docs)\n"
        f"  integration: pointsman@example.com/token:{settings.integration_token} (user 903)\n"
        f"  agent:       agent@example.com/token:{settings.agent_token} (user 902)\n"
        f"  webhooks:    {settings.webhook_url or 'none'}, secret {settings.webhook_secret}\n"
    )


if __name__ == "__main__":
    main()
