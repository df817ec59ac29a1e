"""
The one error tree. Each class states the HTTP status it becomes and whether a retry may help.

PointsmanError
├── InputInvalid 422           what a person or a system gave us cannot be used
│   ├── PayloadInvalid 422
│   └── IdempotencyKeyReused 422
├── SignatureInvalid 401
│   ├── SignatureStale 401
│   └── TokenRefused 403       a token that a vendor's protocol answers so
├── Unauthenticated 401
│   └── KeyMissing 401
├── Forbidden 403
├── NotFound 404
├── Conflict 409
│   └── UpdateConflict 409 retryable   the ticket changed under our write-back
├── BodyTooSlow 408
├── BodyTooLarge 413
├── CallerLeft 499             nobody reads the answer any more; no fault of anybody's
├── RateLimited 429 retryable  carries `retry_after_s`
├── ConfigurationInvalid 500   a setting; the message names it and gives an example
├── Unavailable 503 retryable  something we depend on does not answer
│   ├── DatabaseUnavailable
│   ├── RouterUnavailable
│   ├── LlmUnavailable
│   └── ConnectorUnavailable   carries `retry_after_s` when the system told us
├── ConnectorRejected 502      the ticketing system refused our write for good
├── BusClosed 502 retryable    an event bus knows us or the topic not: a grant that spreads, or a wrong setting
└── Unforeseen 500 retryable   a defect of ours, met while something is carried out that must go on
"""


class PointsmanError(Exception):
    """Root. The message gives fact, value and fix."""

    status = 500
    retryable = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class InputInvalid(PointsmanError):
    status = 422


class PayloadInvalid(InputInvalid):
    pass


class IdempotencyKeyReused(InputInvalid):
    pass


class SignatureInvalid(PointsmanError):
    status = 401


class SignatureStale(SignatureInvalid):
    pass


class TokenRefused(SignatureInvalid):
    status = 403


class Unauthenticated(PointsmanError):
    status = 401


class KeyMissing(Unauthenticated):
    pass


class Forbidden(PointsmanError):
    status = 403


class NotFound(PointsmanError):
    status = 404


class Conflict(PointsmanError):
    status = 409


class UpdateConflict(Conflict):
    retryable = True


class BodyTooSlow(PointsmanError):
    status = 408


class BodyTooLarge(PointsmanError):
    status = 413


class CallerLeft(PointsmanError):
    status = 499


class RateLimited(PointsmanError):
    status = 429
    retryable = True


class ConfigurationInvalid(PointsmanError):
    pass


class Unavailable(PointsmanError):
    status = 503
    retryable = True


class DatabaseUnavailable(Unavailable):
    pass


class RouterUnavailable(Unavailable):
    pass


class LlmUnavailable(Unavailable):
    pass


class ConnectorUnavailable(Unavailable):
    pass


class ConnectorRejected(PointsmanError):
    status = 502


class BusClosed(PointsmanError):
    status = 502
    retryable = True


class Unforeseen(PointsmanError):
    retryable = True
