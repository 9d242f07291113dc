"""Our transactions beside pytempo's, and our answers before pympp's server."""

import base64
import json
import time
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from mpp import BodyDigest, Challenge, Receipt
from mpp.methods.tempo import attribution
from mpp.methods.tempo import server as tempo
from mpp.methods.tempo.fee_payer_envelope import encode_fee_payer_envelope
from mpp.server.mpp import Mpp
from pytempo import Call, TempoTransaction  # type: ignore[import-untyped]  # it carries no annotations

from seedance_mcp.payment.challenge import Offer, parse_challenge
from seedance_mcp.payment.mpp import Credential, memo_for, read_receipt, sign
from seedance_mcp.payment.tempo import sign_transfer
from seedance_mcp.payment.tokens import TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.x402 import sign as sign_x402
from tests.payment.examples import ADDRESS, KEY, NOW, PAY_TO, URL, USDCE, charge, document, payment, required, url_safe

WALLET = Wallet.from_hex(KEY)
PURCHASE = "pur_0123456789"
REALM = "stablestudio.dev"
BODY = b'{"prompt":"waves"}'
TRANSACTION = "0x" + "ab" * 32


def offer_of(*headers: str, now: int = NOW, body: bytes | None = None) -> Offer:
    challenge = parse_challenge({"www-authenticate": ", ".join(headers)}, b"", URL, request_body=body, now=now)
    return challenge.require_offer()[0]


def opened(credential: Credential) -> Any:
    scheme, _, value = credential.value.partition(" ")
    assert scheme == "Payment"
    assert "=" not in value
    return json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))


def reference(amount: int, memo: bytes, valid_before: int, *, sponsored: bool, key: str = KEY) -> bytes:
    """The same transfer by pytempo, its call encoded by eth-abi."""
    arguments = abi_encode(["address", "uint256", "bytes32"], [PAY_TO, amount, memo])
    transaction = TempoTransaction.create(
        chain_id=4217,
        gas_limit=1_000_000,
        max_fee_per_gas=25_000_000_000,
        max_priority_fee_per_gas=1_000_000_000,
        nonce_key=2**256 - 1,
        valid_before=valid_before,
        fee_token=None if sponsored else USDCE,
        awaiting_fee_payer=sponsored,
        calls=(Call.create(to=USDCE, data=bytes.fromhex("95777d59") + arguments),),
    ).sign(key)
    return bytes(encode_fee_payer_envelope(transaction) if sponsored else transaction.encode())


@pytest.mark.parametrize("sponsored", [False, True])
@pytest.mark.parametrize("amount", [1, 127, 128, 255, 256, 412_500, 999_999_999_999])
@pytest.mark.parametrize("valid_before", [NOW + 25, 127, 2**32, 2**64 - 1])
def test_a_transfer_is_byte_for_byte_pytempos(amount: int, valid_before: int, sponsored: bool) -> None:
    memo = keccak(b"%d" % amount)
    ours = sign_transfer(WALLET, TEMPO_USDCE, PAY_TO, amount, memo=memo, valid_before=valid_before, sponsored=sponsored)
    assert ours == reference(amount, memo, valid_before, sponsored=sponsored)


def test_signatures_of_any_key_are_pytempos() -> None:
    # Some of these have an r or s with leading zeros, and both parities.
    for number in range(1, 40):
        key, memo = f"{number:064x}", bytes(32)
        ours = sign_transfer(Wallet.from_hex(key), TEMPO_USDCE, PAY_TO, 1, memo=memo, valid_before=NOW, sponsored=False)
        assert ours == reference(1, memo, NOW, sponsored=False, key=key)


@pytest.mark.parametrize(
    ("amount", "memo", "valid_before"),
    [(0, bytes(32), NOW), (-1, bytes(32), NOW), (2**256, bytes(32), NOW), (1, bytes(31), NOW), (1, bytes(32), 0)],
)
def test_what_does_not_fit_its_field_is_not_signed(amount: int, memo: bytes, valid_before: int) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|out of range"):
        sign_transfer(WALLET, TEMPO_USDCE, PAY_TO, amount, memo=memo, valid_before=valid_before, sponsored=False)


@pytest.mark.parametrize("sponsored", [False, True])
def test_an_offer_is_answered_with_its_transfer_and_its_challenge_verbatim(sponsored: bool) -> None:
    header = payment(charge(details={"feePayer": sponsored}), description="a, b \\u2014", opaque="e30", unknown="kept")
    offer = offer_of(header)
    credential = sign(WALLET, offer, purchase_id=PURCHASE, valid_before=NOW + 25)
    assert credential.raw == reference(412_500, credential.memo, NOW + 25, sponsored=sponsored)
    assert credential.raw[:1].hex() == ("78" if sponsored else "76")
    assert credential.transaction == (None if sponsored else "0x" + keccak(credential.raw).hex())
    assert (credential.header, credential.payer, credential.valid_before) == ("Authorization", ADDRESS, NOW + 25)
    assert opened(credential) == {
        "challenge": {
            "id": "kM9xPqWvT2nJrHsY4aDfEb",
            "realm": REALM,
            "method": "tempo",
            "intent": "charge",
            "request": url_safe(charge(details={"feePayer": sponsored})),
            "expires": "2027-01-15T08:05:00.000Z",
            "description": "a, b \u2014",
            "opaque": "e30",
            "unknown": "kept",
        },
        "payload": {"type": "transaction", "signature": "0x" + credential.raw.hex()},
        "source": f"did:pkh:eip155:4217:{ADDRESS}",
    }


def test_the_answer_goes_where_the_seller_wants_it() -> None:
    offer = offer_of(payment(header="payment-authorization"))
    credential = sign(WALLET, offer, purchase_id=PURCHASE, valid_before=NOW + 25)
    assert credential.header == "Payment-Authorization"
    assert opened(credential)["challenge"]["header"] == "payment-authorization"


def test_the_same_arguments_give_the_same_bytes_and_repr_keeps_them_back() -> None:
    first, second = (sign(WALLET, offer_of(payment()), purchase_id=PURCHASE, valid_before=NOW + 25) for _ in range(2))
    assert first == second
    assert first.value not in repr(first)
    assert repr(first.raw) not in repr(first)


@pytest.mark.parametrize(
    "details",
    [{}, {"feePayer": True}, {"supportedModes": ["push", "pull"]}],
)
@pytest.mark.parametrize("header", [None, "Payment-Authorization"])
async def test_pympps_server_takes_the_answer_to_its_own_challenge(details: dict[str, Any], header: str | None) -> None:
    now = int(time.time())
    asked = Challenge.create(
        secret_key="seller's secret",
        realm=REALM,
        method="tempo",
        intent="charge",
        request=charge(details=details),
        expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 300)),
        digest=BodyDigest.compute(BODY),
        description='5 s, "waves" \u2014',
        meta={"order": "7, 8"},
        header=header,
    )
    offer = offer_of('Basic realm="x"', asked.to_www_authenticate(REALM), now=now, body=BODY)
    credential = sign(WALLET, offer, purchase_id=PURCHASE, valid_before=now + 25)
    seller = Mpp(
        tempo.charge(recipient=PAY_TO, currencies=[USDCE]),
        realm=REALM,
        secret_key="seller's secret",
        requires_auth=header is not None,
    )
    verdict = await seller.validate_credential(
        credential.value, request=charge(details=details), meta={"order": "7, 8"}, body=BODY
    )
    assert verdict.payer == ADDRESS.lower()
    assert verdict.details == {"mode": "pull", "serialized_transaction": "0x" + credential.raw.hex()}
    assert credential.header == (header or "Authorization")


def test_pympp_finds_seller_purchase_and_challenge_in_the_memo() -> None:
    memo = sign(WALLET, offer_of(payment()), purchase_id=PURCHASE, valid_before=NOW + 25).memo
    assert "0x" + memo.hex() == attribution.encode("kM9xPqWvT2nJrHsY4aDfEb", REALM, PURCHASE)
    assert attribution.verify_server("0x" + memo.hex(), REALM)
    assert attribution.verify_challenge_binding("0x" + memo.hex(), "kM9xPqWvT2nJrHsY4aDfEb")
    read = attribution.decode("0x" + memo.hex())
    assert read is not None
    assert read.client_fingerprint == "0x" + keccak(text=PURCHASE)[:10].hex()


def test_a_memo_never_changes_between_versions() -> None:
    """Recovery asks the chain for this very memo."""
    memo = memo_for(realm=REALM, challenge_id="kM9xPqWvT2nJrHsY4aDfEb", purchase_id=PURCHASE)
    assert memo.hex() == "ef1ed71201311d1054384cb0ad877c33ed3ffa5cfc2a0b12081128fb265e760d"
    assert len({memo_for(realm=r, challenge_id=c, purchase_id=p) for r in "ab" for c in "ab" for p in "ab"}) == 8


def test_what_must_not_be_signed_is_not() -> None:
    x402 = parse_challenge(required(document()), b"", URL)
    offer = offer_of(payment())
    with pytest.raises(ValueError, match="not one of MPP"):
        sign(WALLET, x402.offers[0], purchase_id=PURCHASE, valid_before=NOW + 25)
    with pytest.raises(ValueError, match="later than the challenge"):
        sign(WALLET, offer, purchase_id=PURCHASE, valid_before=NOW + 301)
    with pytest.raises(ValueError, match="purchase has an id"):
        sign(WALLET, offer, purchase_id="", valid_before=NOW + 25)
    both = parse_challenge(required(document()) | {"www-authenticate": payment()}, b"", URL, now=NOW)
    with pytest.raises(ValueError, match="another rail"):
        sign_x402(WALLET, both, both.offers[1], nonce=bytes(32), valid_before=NOW + 25)


def receipt(**changes: Any) -> dict[str, str]:
    whole = {"method": "tempo", "reference": TRANSACTION, "status": "success", "timestamp": "2027-01-15T08:00:01.000Z"}
    return {"payment-receipt": url_safe({k: v for k, v in (whole | changes).items() if v is not ...})}


def test_a_receipt_of_pympps_is_read() -> None:
    sent = Receipt.success(reference=TRANSACTION, method="tempo").to_payment_receipt()
    for headers in ({"payment-receipt": sent}, receipt(externalId="x"), receipt(timestamp=...)):
        found = read_receipt(headers)
        assert found is not None
        assert (found.success, found.transaction, found.error_reason) == (True, TRANSACTION, None)
        assert (found.network, found.payer, found.amount) == (None, None, None)


def test_a_receipt_of_a_failure_proves_nothing_and_says_why() -> None:
    found = read_receipt(receipt(status="fai\u202eled", reference=...))
    assert found is not None
    assert (found.success, found.transaction, found.error_reason) == (False, None, "failed")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"payment-receipt": ""},
        {"payment-receipt": "rubbish!"},
        {"payment-receipt": url_safe([])},
        {"payment-receipt": url_safe(b'{"method":"tempo","method":"tempo"}')},
        receipt(status=...),
        receipt(status=True),
        receipt(method="stripe"),
        receipt(method=...),
        receipt(reference=...),
        receipt(reference="0x12"),
        receipt(reference="pi_3N"),
        receipt(reference=[TRANSACTION]),
    ],
)
def test_a_receipt_that_is_malformed_or_of_something_else_is_none(headers: dict[str, str]) -> None:
    assert read_receipt(headers) is None


@given(
    st.text()
    | st.binary().map(url_safe)
    | st.dictionaries(
        st.sampled_from(["status", "method", "reference", "timestamp"]),
        st.none()
        | st.booleans()
        | st.text()
        | st.lists(st.text())
        | st.sampled_from([TRANSACTION, "tempo", "success"]),
    ).map(url_safe)
)
def test_no_header_breaks_the_reader_of_receipts(header: str) -> None:
    found = read_receipt({"payment-receipt": header})
    assert found is None or not found.success or found.transaction is not None
