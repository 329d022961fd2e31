"""Identity tokens made with PyJWT and keys of `cryptography`, for tests of those who check them."""

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NOW_S = 1_800_000_000


@cache
def private_key(name: str = "one", kind: str = "rsa") -> Any:
    """A key of a name, made once."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "short" else 2048)


def public_jwk(name: str = "one", kind: str = "rsa", **fields: Any) -> dict[str, Any]:
    """Its public part as an issuer publishes it."""
    algorithm = jwt.algorithms.ECAlgorithm if kind == "ec" else jwt.algorithms.RSAAlgorithm
    shown: dict[str, Any] = json.loads(algorithm.to_jwk(private_key(name, kind).public_key()))
    shown.pop("key_ops", None)
    return {**shown, "kid": name, "use": "sig", **fields}


def jwks(*names: str) -> dict[str, Any]:
    """A published set of keys."""
    return {"keys": [public_jwk(name) for name in names or ("one",)]}


def token(claims: dict[str, Any], *, key: str = "one", alg: str = "RS256", **header: Any) -> str:
    """A signed token; a claim or header of None is left out."""
    kept = {name: value for name, value in claims.items() if value is not None}
    marks = {name: value for name, value in {"kid": key, **header}.items() if value is not None}
    signer = private_key(key, "ec" if alg == "ES256" else "rsa")
    return jwt.encode(kept, signer, algorithm=alg, headers=marks)


def public_pem(key: str = "one") -> bytes:
    """The public part as PEM, which a confused receiver would take for an HMAC secret."""
    return (
        private_key(key)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
