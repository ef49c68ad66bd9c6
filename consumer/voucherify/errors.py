"""What can go wrong between us and Voucherify's API. Every message says what to do; none holds credentials.

::

    BinmirrorError
    ├── TransientError
    │   └── VoucherifyUnavailableError   also a VoucherifyError; it may work later
    │       ├── RateLimitedError             429, or the rate limit would make us wait too long
    │       ├── ServerFailedError            5xx, 408
    │       └── UnreachableError             network, TLS, timeout, connection cut
    └── VoucherifyError                  all of them
        ├── UnauthorizedError            401: the credentials; never an empty bin
        ├── ForbiddenError               403: the permissions; never an empty bin
        ├── NotFoundError                404: nothing at this address
        ├── RequestRefusedError          any other 4xx
        └── ProtocolError                not what is published: HTML, wrong types, endless pages, …
            └── TruncatedAnswerError         JSON that ends too early; tried again like a network error
"""

from consumer.errors import BinmirrorError, TransientError


class VoucherifyError(BinmirrorError):
    """Voucherify's API did not do what was asked."""


class VoucherifyUnavailableError(VoucherifyError, TransientError):
    """Every attempt failed in a way that may pass by itself."""


class RateLimitedError(VoucherifyUnavailableError):
    """The rate limit is used up, and waiting for it would take longer than allowed.

    ``retry_after`` is the wait in seconds that it would take, as far as known.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerFailedError(VoucherifyUnavailableError):
    """Voucherify answers 5xx (or 408). ``retry_after`` as its header said, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreachableError(VoucherifyUnavailableError):
    """No complete answer arrived: network, TLS, timeout, or a connection cut in the middle."""


class UnauthorizedError(VoucherifyError):
    """401: the credentials are wrong."""


class ForbiddenError(VoucherifyError):
    """403: the credentials lack a permission."""


class NotFoundError(VoucherifyError):
    """404: there is nothing at this address.

    ``explained``: the body has the API's own form, so that it is the API that says so, not some other server.
    """

    def __init__(self, message: str, *, explained: bool) -> None:
        super().__init__(message)
        self.explained = explained


class RequestRefusedError(VoucherifyError):
    """Another 4xx: Voucherify does not accept the request."""


class ProtocolError(VoucherifyError):
    """The answer is not what Voucherify publishes; nothing was concluded from it."""


class TruncatedAnswerError(ProtocolError):
    """The answer's JSON ends too early."""
