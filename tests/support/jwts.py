"""Tokens as PyJWT makes and reads them: a second implementation for the tests.

    jwts.py keys FOLDER               makes private keys, public keys and a key set there
    jwts.py sign FOLDER ALGORITHM [TYPE]
                                      reads claims as JSON, prints a token; its kid is the algorithm's name
    jwts.py check FOLDER ALGORITHM    reads a token, checks it for audience "realtime", prints its claims as JSON
"""

import json
import pathlib
import sys

import jwt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def keys(folder):
    pairs = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        # Keys that issuers have in their sets as well, and that are not taken.
        "ES384": ec.generate_private_key(ec.SECP384R1()),
    }
    algorithms = jwt.algorithms.get_default_algorithms()
    published = []
    for name, pair in pairs.items():
        private = pair.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        (folder / f"{name}.key").write_bytes(private)
        public = pair.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(public)
        key = algorithms[name].to_jwk(pair.public_key(), as_dict=True)
        published.append({**key, "kid": name, "use": "sig", "alg": name})
    (folder / "jwks.json").write_text(json.dumps({"keys": published}))
    old = pairs["RS256"].private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
    (folder / "RS256.pkcs1.key").write_bytes(old)


def sign(folder, algorithm, kind="JWT"):
    key = (folder / f"{algorithm}.key").read_text()
    print(jwt.encode(json.load(sys.stdin), key, algorithm=algorithm, headers={"kid": algorithm, "typ": kind}))


def check(folder, algorithm):
    key = (folder / f"{algorithm}.pem").read_text()
    print(json.dumps(jwt.decode(sys.stdin.read().strip(), key, algorithms=[algorithm], audience="realtime", issuer="shop")))


if __name__ == "__main__":
    action, folder, *arguments = sys.argv[1:]
    {"keys": keys, "sign": sign, "check": check}[action](pathlib.Path(folder), *arguments)
