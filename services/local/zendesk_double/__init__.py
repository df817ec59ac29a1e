"""
An honest Zendesk to try things on: `python -m services.local.zendesk_double --help`.

`account` holds the rules, `webhooks` tells the world, `faults` breaks things on demand, `app` is the HTTP.
It is written from Zendesk's documentation and knows nothing of our connector.
"""
