from email.utils import formatdate

import pytest

from consumer.voucherify.errors import RateLimitedError
from consumer.voucherify.rate import RateLimit
from consumer.voucherify.retry_policy import RetryPolicy
from tests.fake_voucherify import faults
from tests.fake_voucherify.app import RateRule
from tests.manual_clock import ManualClock
from tests.unit.voucherify_kit import Kit, ids


async def test_the_limit_is_kept_without_a_single_429(at: Kit) -> None:
    """When a period's requests are used up, the client waits for the next one by itself."""
    at.fake.rate = RateRule(limit=5)
    at.fake.bin.fill(120)
    async with at.client() as client:
        assert client.rate() is None
        assert len(await ids(client.pages(limit=10))) == 120
        assert client.rate() == 5
    assert at.fake.answers[429] == 0
    assert len(at.waits) == 2
    assert all(wait.reason == "rate_limit" and 0 < wait.seconds <= 60 for wait in at.waits)


async def test_a_period_of_an_hour_is_recognised(at: Kit) -> None:
    """A sandbox project's limit counts by the hour; the estimate says so."""
    at.fake.rate = RateRule(limit=100, seconds=3600)
    async with at.client() as client:
        await ids(client.pages())
        assert client.rate() == pytest.approx(100 / 60)


async def test_the_wrong_clock_of_this_machine_does_no_harm(at: Kit) -> None:
    """Times are compared with the answer's own date."""
    at.fake.rate = RateRule(limit=1)
    skewed = ManualClock(at.clock.now())
    skewed.jump(-7 * 3600)
    at.clock, server_clock = skewed, at.clock
    at.fake.now = lambda: server_clock.seconds() + skewed.monotonic() - server_clock.monotonic()
    at.fake.bin.fill(3)
    async with at.client() as client:
        assert len(await ids(client.pages(limit=1))) == 3
    assert at.fake.answers[429] == 0
    assert all(seconds <= 60 for seconds in skewed.sleeps)


async def test_part_of_the_limit_can_be_left_to_others(at: Kit) -> None:
    """With a reserve the client stops before the limit and counts on less."""
    at.fake.rate = RateRule(limit=10)
    at.fake.bin.fill(20)
    least: list[int] = []
    at.fake.before = lambda _asked: least.append(10 - (at.fake.rate.used if at.fake.rate else 0))
    async with at.client(reserve=0.3) as client:
        assert len(await ids(client.pages(limit=1))) == 20
        assert client.rate() == 7
    assert len(at.waits) == 2


@pytest.mark.parametrize("form", ["seconds", "date", "limit header"])
async def test_a_429_is_waited_out_as_it_says(at: Kit, form: str) -> None:
    """Retry-After in seconds or as a date is kept to, and X-Rate-Limit-Retry where there is none."""
    later = at.clock.seconds() + 90
    headers = {
        "seconds": {"Retry-After": "90"},
        "date": {"Retry-After": formatdate(later, usegmt=True)},
        "limit header": {"X-Rate-Limit-Retry": str(int(later))},
    }[form]
    at.fake.script(faults.status(429, headers))
    async with at.client() as client:
        await ids(client.pages())
    assert sum(at.clock.sleeps) == pytest.approx(90.5, abs=0.6)


@pytest.mark.parametrize("value", ["", "soon", "-5", "Fri, 99 Foo 2025", "9" * 50, "0"])
async def test_a_senseless_retry_after_is_a_plain_429(at: Kit, value: str) -> None:
    """A header that cannot be read does not stop the retry, nor make it wait for ever."""
    at.fake.script(faults.status(429, {"Retry-After": value}))
    async with at.client() as client:
        await ids(client.pages())
    assert 1 <= sum(at.clock.sleeps) <= 3


@pytest.mark.parametrize("retry", ["1740830460000", "99999999999999999", "-1", "tomorrow"])
def test_a_senseless_limit_header_changes_nothing(retry: str) -> None:
    """A time in milliseconds, in the far future or none at all is not waited for."""
    rate = RateLimit(ManualClock())
    rate.learn({"x-rate-limit-limit": "10", "x-rate-limit-remaining": "0", "x-rate-limit-retry": retry})
    assert rate.wait() == 0


async def test_a_limit_that_opens_too_late_is_given_up_at_once(at: Kit) -> None:
    """Where the wait would be longer than allowed, none begins, and the error says how long it would be."""
    at.fake.rate = RateRule(limit=1, seconds=3600)
    at.fake.bin.fill(2)
    async with at.client(retries=RetryPolicy(rate_limit=600)) as client:
        with pytest.raises(RateLimitedError, match="opens again in 3600 s") as caught:
            await ids(client.pages(limit=1))
    assert caught.value.retry_after == pytest.approx(3600)
    assert at.clock.sleeps == []


async def test_waiting_for_the_limit_is_no_failure(at: Kit) -> None:
    """An hour's wait for the rate limit leaves all attempts and their time for failures."""
    at.fake.script(faults.status(429, {"Retry-After": "3000"}))
    at.fake.script(faults.status(500), times=2)
    async with at.client(retries=RetryPolicy(attempts=3, total=30)) as client:
        assert await ids(client.pages()) == []
