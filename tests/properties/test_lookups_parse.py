"""Both parsers of lookups find the same."""

import json
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import InvalidPayload
from schemas.lookups import AnyLookup, ResourceLookup, parse_lookups, parse_thoroughly

_TEXTS: Final = st.one_of(
    st.text(max_size=8),
    st.text(st.sampled_from(["\0", "\ud800", "\udc00", "🎁", "\\", '"', "é", "\x7f", "/"]), max_size=4),
    st.sampled_from(["x" * 512, "x" * 513, "🎁" * 512, "🎁" * 513, "campaign", "voucher"]),
)
_VALUES: Final = st.one_of(
    _TEXTS, st.none(), st.integers(), st.booleans(), st.lists(st.integers(), max_size=1)
)
_LOOKUPS: Final = st.one_of(
    st.fixed_dictionaries({"code": _TEXTS}, optional={"campaign_id": st.one_of(_TEXTS, st.none())}),
    st.fixed_dictionaries({"resource_type": _TEXTS, "resource_id": _TEXTS}, optional={"campaign_id": _TEXTS}),
    st.dictionaries(
        st.sampled_from(["code", "campaign_id", "resource_type", "resource_id", "é"]), _VALUES, max_size=3
    ),
    _VALUES,
)
_BODIES: Final = st.one_of(
    st.builds(
        lambda lookups, more, escaped: json.dumps({"lookups": lookups, **more}, ensure_ascii=escaped).encode(
            errors="surrogatepass"
        ),
        st.lists(_LOOKUPS, max_size=4),
        st.one_of(st.just({}), st.dictionaries(st.sampled_from(["lookups", "more"]), _VALUES, max_size=1)),
        st.booleans(),
    ),
    st.binary(max_size=12),
)


def _plain(lookups: Any) -> list[tuple[Any, ...]]:
    def plain(lookup: AnyLookup) -> tuple[Any, ...]:
        if isinstance(lookup, ResourceLookup):
            return lookup.resource_type, lookup.resource_id, lookup.campaign_id
        return lookup.code, lookup.campaign_id

    return [plain(each) for each in lookups]


def _told(parse: Any, body: bytes) -> Any:
    try:
        return _plain(parse(body))
    except InvalidPayload as error:
        return error.details


@given(_BODIES)
@example(b'{"lookups":[{"code":"a","code":"b"}]}')
@example(b'{"lookups":[{"code":"a"}],"lookups":[{"code":"b"}]}')
@example(b'{"lookups":[{"code":1,"code":"b"}]}')
@example(b'{"lookups":[{"code":"\xed\xa0\x80"}]}')
@example(b'{"lookups":[{"c\\u006fde":"a"}]}')
@example(b'{"lookups":[{"code":"\\ud83c\\udf81\\/"}]} \n')
@example(b'\xef\xbb\xbf{"lookups":[]}')
@example(b'{"lookups":[{"code":"a"}]}x')
@example(b'{"lookups":[{"code":"a","more":' + b"[" * 100_000)
@example(b'{"lookups":[' + b'{"code":"a"},' * 999 + b'{"code":"a"}]}')
@example(b'{"lookups":[' + b'{"code":"a"},' * 1_000 + b'{"code":"a"}]}')
def test_both_parsers_find_the_same(body: bytes) -> None:
    """Whatever a client sends, reading it quickly neither takes, refuses nor means anything else."""
    assert _told(parse_lookups, body) == _told(parse_thoroughly, body)
