"""Requests for tokens: whatever is sent is understood or refused, never an exception of another kind."""

from base64 import b64encode
from urllib.parse import quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st

from schemas.oauth import SCOPES, TokenRefused, client_of, parse_basic, read_form, scopes_of

PARTS = st.sampled_from(
    ["grant_type", "client_credentials", "scope", "api", "=", "&", "%", "%ff", "+", "client_id"]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.one_of(st.binary(), st.lists(PARTS).map(lambda parts: "".join(parts).encode())))
def test_any_body(body: bytes) -> None:
    """Any bytes are a form with known scopes, or refused with RFC 6749's words."""
    refused: TokenRefused | None = None
    try:
        fields = read_form(body)
        client_of(fields)
        scopes = scopes_of(fields)
    except TokenRefused as error:
        refused = error
    if refused is None:
        assert set(scopes) <= set(SCOPES)
        assert scopes
    else:
        assert refused.error in {"invalid_request", "unsupported_grant_type", "invalid_scope"}
        assert '"' not in refused.description


@given(st.binary())
def test_any_header(value: bytes) -> None:
    """Any bytes after ``Basic`` name a client or nobody."""
    parse_basic(value)


@given(TEXT, TEXT)
def test_clients_are_understood(client_id: str, secret: str) -> None:
    """What a form or Basic encodes comes out as it was, and so does what Basic carries unencoded."""
    form = urlencode({"client_id": client_id, "client_secret": secret}).encode()
    client = client_of(read_form(form))
    assert client is not None
    assert client.readings == ((client_id.encode(), secret.encode()),)
    encoded = parse_basic(b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()))
    assert encoded is not None
    assert (client_id.encode(), secret.encode()) in encoded.readings
    if ":" not in client_id:
        plain = parse_basic(b64encode(f"{client_id}:{secret}".encode()))
        assert plain is not None
        assert (client_id.encode(), secret.encode()) in plain.readings
