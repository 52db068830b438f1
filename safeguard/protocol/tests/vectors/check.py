"""Checks the test vectors with nothing of this repository but the files, as docs/protocol.md says it is done."""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encoded(media_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding of DSSE."""
    kind = media_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def outcome(vector: dict) -> str:
    envelope = json.loads(vector["envelope"])
    if len(envelope["signatures"]) != 1:
        return "signatures"
    if envelope["payloadType"] != vector["expected"]:
        return "kind"
    signature = envelope["signatures"][0]
    keys = [base64.urlsafe_b64decode(key + "=") for key in vector["trusted"]]
    named = [key for key in keys if hashlib.sha256(key).hexdigest() == signature["keyid"]]
    if not named:
        return "unknown-key"
    payload = base64.b64decode(envelope["payload"], validate=True)
    message = encoded(envelope["payloadType"], payload)
    try:
        Ed25519PublicKey.from_public_bytes(named[0]).verify(base64.b64decode(signature["sig"]), message)
    except InvalidSignature:
        return "signature"
    assert payload.decode() == vector["payload"]
    assert "sha256:" + hashlib.sha256(payload).hexdigest() == vector["digest"]
    assert message == base64.b64decode(vector["signed"])
    # Signing is deterministic: the same seed gives the same signature.
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    assert key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == named[0]
    assert key.sign(message) == base64.b64decode(signature["sig"])
    return "opens"


def main() -> int:
    wrong = 0
    for path in sorted(pathlib.Path(__file__).parent.glob("*.json")):
        vector = json.loads(path.read_text())
        found = outcome(vector)
        print(path.name, found)
        wrong += found != vector["outcome"]
    enrolment = json.loads((pathlib.Path(__file__).parent / "enrolment.json").read_text())
    said = json.loads(enrolment["payload"])
    tenant, key = said["tenant"].encode(), base64.urlsafe_b64decode(said["public_key"] + "=")
    bound = hashlib.sha256(len(tenant).to_bytes(4, "big") + tenant + said["nonce"].encode() + key).hexdigest()
    assert dict(said["proofs"]["sts"]["headers"])["x-safeguard-bind"] == bound
    return 1 if wrong else 0


sys.exit(main())
