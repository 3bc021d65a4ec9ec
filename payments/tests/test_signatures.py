"""FAILURES 26: which webhooks are believed to be the gateway's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways import NotGenuine, signatures

pytestmark = pytest.mark.money
BODY = b'{"id": "evt_1", "amount": 1999}'
OLD, NEW = "whsec_the_old_one", "whsec_the_new_one"  # made for the test
NOW = 1_700_000_000
# Made with `openssl dgst -sha256 -hmac whsec_the_new_one` over `1700000000.` and BODY: somebody else's HMAC.
RECORDED = "t=1700000000,v1=c2ca40a33befc1b0c7c75869f8eb8b859abd5bf17bcc0c1857ef792faf956394"


def refused(header: str, *, body: bytes = BODY, secrets: tuple[str, ...] = (NEW,), now: float = NOW) -> str:
    """Why."""
    with pytest.raises(NotGenuine) as raised:
        signatures.verify(body, header, secrets=secrets, now=now)
    return str(raised.value)


def test_the_recorded_signature() -> None:
    assert signatures.sign(BODY, secret=NEW, at=NOW) == RECORDED
    signatures.verify(BODY, RECORDED, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("secrets", [[OLD, NEW], [NEW, OLD], ["", NEW]])
@pytest.mark.parametrize("signer", [OLD, NEW])
def test_while_a_secret_is_changed_both_count(secrets: list[str], signer: str) -> None:
    header = signatures.sign(BODY, secret=signer, at=NOW)
    if signer in secrets:
        signatures.verify(BODY, header, secrets=secrets, now=NOW)
    else:
        assert refused(header, secrets=tuple(secrets)) == "the signature does not belong to this body"


def test_one_of_several_signatures_is_enough() -> None:
    """As Stripe sends them while an endpoint's secret is rolled; and a scheme of which we know nothing."""
    old, new = (signatures.sign(BODY, secret=secret, at=NOW).partition(",")[2] for secret in (OLD, NEW))
    for header in (f"t={NOW},{old},{new}", f"t={NOW},{new},{old}", f" v0=abc, {new}, t={NOW},v2=x,,="):
        signatures.verify(BODY, header, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("seconds", [0, 299, 300, -300])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    signatures.verify(BODY, RECORDED, secrets=[NEW], now=NOW + seconds)


@pytest.mark.parametrize("seconds", [301, -301, 86_400, 10**9])
def test_a_replay_is_refused(seconds: int) -> None:
    assert refused(RECORDED, now=NOW + seconds) == "signed too long ago, or in the future"


def test_the_time_is_signed_too() -> None:
    moved = RECORDED.replace(str(NOW), str(NOW + 600))
    assert refused(moved, now=NOW + 600) == "the signature does not belong to this body"


@pytest.mark.parametrize(
    "body",
    [BODY + b" ", BODY[:-1], BODY.replace(b'": ', b'":'), BODY.replace(b"1999", b"1998"), b"", b"\xff", BODY * 2],
)
def test_other_bytes_are_another_body(body: bytes) -> None:
    """Also the same JSON written in another way."""
    assert refused(RECORDED, body=body) == "the signature does not belong to this body"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "it is not signed"),
        (" ", "the signature does not say when it was made"),
        ("nonsense", "the signature does not say when it was made"),
        (RECORDED.partition(",")[2], "the signature does not say when it was made"),
        (f"t={NOW}", "there is no v1 signature"),
        (f"t={NOW},v1=", "the signature does not belong to this body"),
        (RECORDED.replace("v1=", "v0="), "there is no v1 signature"),
        (RECORDED[:-1], "the signature does not belong to this body"),
        (RECORDED + "0", "the signature does not belong to this body"),
        (RECORDED.upper(), "the signature does not say when it was made"),
        (f"t={NOW},{RECORDED}", "the signature does not say when it was made"),
        (RECORDED.replace("t=", "t=-"), "the signature does not say when it was made"),
        (RECORDED.replace("t=", "t= "), "the signature does not say when it was made"),
        (RECORDED.replace("t=17", "t=१७"), "the signature does not say when it was made"),
        (RECORDED.replace("t=", "t=" + "9" * 30), "the signature does not say when it was made"),
        ("t=1e9,v1=ab", "the signature does not say when it was made"),
        (RECORDED + ",v1=" + "f" * 5000, "the signature's header is too long"),
        (f"t={NOW},v1=\udcff\u00e9", "the signature does not belong to this body"),
    ],
)
def test_headers_that_sign_nothing(header: str, reason: str) -> None:
    assert refused(header) == reason


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
def test_without_a_secret_nobody_is_believed(secrets: tuple[str, ...]) -> None:
    """Above all not a sender who signs with the empty one."""
    header = signatures.sign(BODY, secret="", at=NOW)
    assert refused(header, secrets=secrets) == "no webhook secret is set, so no webhook can be believed"


@given(body=st.binary(max_size=200), secret=st.text(min_size=1, max_size=40), at=st.integers(0, 10**11))
def test_whatever_is_signed_is_believed(body: bytes, secret: str, at: int) -> None:
    secret = secret.encode(errors="ignore").decode() or "x"
    signatures.verify(body, signatures.sign(body, secret=secret, at=at), secrets=[secret], now=at)


@given(header=st.text(max_size=200), body=st.binary(max_size=50))
def test_no_header_breaks_it(header: str, body: bytes) -> None:
    with pytest.raises(NotGenuine):
        signatures.verify(body, header, secrets=[NEW], now=NOW)
