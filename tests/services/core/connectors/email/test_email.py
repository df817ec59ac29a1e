"""The conformance suite on a real mailbox, then what is mail's own."""

from tests.services.core.connectors.outbound import Outbound
from tests.services.core.connectors.polling import Polling


class TestOutbound(Outbound):
    pass


class TestPolling(Polling):
    pass
