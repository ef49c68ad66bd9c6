import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_voucherify.app import APP_ID, APP_TOKEN, PATH, RateRule
from tests.fake_voucherify.bin import FakeEntry
from tests.unit.voucherify_kit import Kit

REST = Path(__file__).parent.parent / "data" / "voucherify" / "rest"
CREDENTIALS = {"X-App-Id": APP_ID, "X-App-Token": APP_TOKEN}


def sample(name: str) -> Any:
    return json.loads((REST / f"{name}.json").read_bytes())


def request(at: Kit, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.request(method, at.url + path, headers=CREDENTIALS if headers is None else headers)


def test_a_page_is_the_published_one(at: Kit) -> None:
    """The published sample's entries in the bin give the published sample."""
    published = sample("list-bin-entries.200")
    entries = [
        FakeEntry(**{key: value for key, value in entry.items() if key != "object"})
        for entry in published["data"]
    ]
    at.fake.bin.add(*entries, entries[1]._replace(id="tbe_0eb651ffffffe37184"))
    assert request(at, "GET", f"{PATH}?limit=2").json() == published


def test_refusals_are_the_published_ones(at: Kit) -> None:
    """401, 400 and 404 have their published forms; a bad query names the parameter."""
    assert request(at, "GET", PATH, {}).json() == sample("unauthorized.401")
    bad = request(at, "GET", f"{PATH}?limit=101")
    assert bad.status_code == 400
    assert bad.json()["key"] == sample("invalid_query_params.400")["key"]
    gone = request(at, "DELETE", f"{PATH}/tbe_1")
    assert gone.status_code == 404
    assert gone.json().keys() | {"request_id"} == sample("delete-voucher.404").keys()


def test_deleting_has_no_content(at: Kit) -> None:
    """204 without a body, once."""
    at.fake.bin.fill(1)
    identifier = next(iter(at.fake.bin)).id
    done = request(at, "DELETE", f"{PATH}/{identifier}")
    assert (done.status_code, done.content) == (204, b"")
    assert len(at.fake.bin) == 0


def test_too_many_requests_are_refused(at: Kit) -> None:
    """Beyond the limit there is a 429 in the published form, with the headers that say when to come back."""
    at.fake.rate = RateRule(limit=1)
    assert request(at, "GET", PATH).headers["x-rate-limit-remaining"] == "0"
    refused = request(at, "GET", PATH)
    assert refused.status_code == 429
    assert refused.json() == sample("rate-limited.429.client-side")
    opens = int(refused.headers["x-rate-limit-retry"])
    assert opens - at.clock.seconds() == int(refused.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("filters[resource_type][conditions][$is]=sku", [0, 16, 32]),
        ("filters[resource_type][conditions][$in][0]=sku&order=-id", [32, 16, 0]),
        ("filters[resource_name][conditions][$contains]=nothing", []),
        (
            "filters[junction]=or&filters[resource_type][conditions][$is]=sku&filters[id][conditions][$is]=x",
            [0, 16, 32],
        ),
    ],
)
def test_filters_hold(at: Kit, query: str, numbers: list[int]) -> None:
    """Filters choose the entries, in either order."""
    at.fake.bin.fill(40)
    listed = [entry.id for entry in at.fake.bin]
    offset = next(number for number, entry in enumerate(at.fake.bin) if entry.resource_type == "sku")
    found = [entry["id"] for entry in request(at, "GET", f"{PATH}?limit=100&{query}").json()["data"]]
    wanted = [number + offset for number in numbers if number + offset < 40]
    assert found == [listed[number] for number in wanted]


def test_it_runs_by_itself_and_is_told_what_to_do_wrong() -> None:
    """Run from a shell it says where it is; faults come by flag and by HTTP, mistakes in them are named."""
    command = [sys.executable, "-m", "tests.fake_voucherify", "--entries", "5", "--fault", "403:times=1"]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            base = process.stdout.readline().strip()
            with httpx.Client(base_url=base, headers=CREDENTIALS, trust_env=False) as client:
                assert [client.get(PATH).status_code for _ in range(2)] == [403, 200]
                assert client.get(PATH).json()["total"] == 5

                def tell(**what: str) -> httpx.Response:
                    return client.post("/_fake", params=what)

                assert tell(fault="503:method=DELETE,retry_after=7").is_success
                assert client.get(PATH).is_success
                assert client.delete(f"{PATH}/tbe_1").headers["retry-after"] == "7"
                assert tell(fault="html").is_success
                assert client.get(PATH).text.startswith("<!doctype")
                assert tell(heal="").is_success
                assert tell(add="voucher:id=v_9,name=SUMMER,age=60").json()["entries"] == 6
                assert client.get(PATH).json()["data"][-1]["resource_name"] == "SUMMER"
                assert tell(remove="v_9").json()["entries"] == 5
                for wrong in ({"fault": "noise"}, {"fault": "cut:often=1"}, {"remove": "v_9"}, {"hide": ""}):
                    assert tell(**wrong).status_code == 400
                assert client.get("/_fake").json()["answers"]["200"] == 5
        finally:
            process.terminate()
