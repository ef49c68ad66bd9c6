"""A log that nobody reads: deliveries are answered all the same."""

import os

from schemas.samples import voucher_deleted
from tests.stack import Service, Stack, client_of, deliver, running


class PipedService(Service):
    """Writes its log into a pipe that nobody reads."""

    def start(self) -> "PipedService":
        self.pipe = os.pipe()
        self.launch(self.pipe[1])
        return self


async def test_log_that_nobody_reads(sqlite_stack: Stack) -> None:
    """Far more lines than a pipe holds; every delivery is answered, and the service stops in good order."""
    service = PipedService(sqlite_stack, (), {})
    service.log.touch()
    with running(service):
        await service.ready()
        async with client_of(service.url) as client:
            for number in range(400):
                body = voucher_deleted(voucher_id=f"v_{number}", event_id=f"evvou_{number}")
                assert (await deliver(client, body)).status_code == 202
        assert service.stop() == 0
    for end in service.pipe:
        os.close(end)
