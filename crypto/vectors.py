#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the expected values of tests/unit/crypto_*_test.c, computed without libsodium.

A second implementation of the layouts in tacit/crypto.h and tacit/handshake.h, on hashlib and
python3-cryptography (OpenSSL), so that a mistake in the C code cannot hide in its own test values.
Run it when a layout changes on purpose, and paste what differs.
"""
import hashlib
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

(SCOPE, TRANSCRIPT, SECRET, SEAL_CONNECT, SEAL_ACCEPT, SIGN_CONNECT, SIGN_ACCEPT, FROM_CONNECTOR,
 FROM_ACCEPTOR) = range(0x101, 0x10a)
TEST = 0xf00


def blake(use, domain, data, size=32, key=b""):
    person = use + struct.pack("<II", domain, 0)
    return hashlib.blake2b(data, digest_size=size, key=key, person=person).digest()


def digest(domain, data):
    return blake(b"tacit-h1", domain, data)


def mac(key, domain, data, size=32):
    return blake(b"tacit-m1", domain, data, size, key)


def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def sign(seed, domain, scope, payload):
    statement = b"tacit-s1" + struct.pack("<II", domain, len(payload)) + scope + payload
    return Ed25519PrivateKey.from_private_bytes(seed).sign(statement)


def count(start, length):
    return bytes((start + i) % 256 for i in range(length))


def show(name, value):
    print(f"{name}: {value.hex()}")


def primitives():
    key, data, seed = count(0, 32), count(0, 100), count(64, 32)
    scope = digest(SCOPE, count(1, 32) + count(2, 32))
    public = raw(Ed25519PrivateKey.from_private_bytes(seed).public_key())
    show("digest of nothing", digest(TEST, b""))
    show("digest of 0..99", digest(TEST, data))
    show("digest of 0..99, next domain", digest(TEST + 1, data))
    show("mac128", mac(key, TEST, data, 16))
    show("mac256", mac(key, TEST, data))
    show("derived mac key", blake(b"tacit-k1", TEST, struct.pack("<Q", 7), 32, key))
    show("scope", scope)
    show("public key", public)
    show("signature of 0..99", sign(seed, TEST, scope, data))
    show("signature of nothing", sign(seed, TEST, scope, b""))


def handshake():
    """Replica 1 (incarnation 5) connects to memory node 2 (incarnation 9)."""
    group, cluster = count(1, 32), count(2, 32)
    scope = digest(SCOPE, group + cluster)
    connector = struct.pack("<BBHI", 1, 0, 1, 5)
    acceptor = struct.pack("<BBHI", 2, 0, 2, 9)
    connector_seed, acceptor_seed = count(64, 32), count(96, 32)
    ephemeral_a = X25519PrivateKey.from_private_bytes(count(0, 32))   # drawn first
    ephemeral_c = X25519PrivateKey.from_private_bytes(count(32, 32))

    def clear(kind, ephemeral):
        return b"TCTH" + struct.pack("<BBH", kind, 0, 1) + group + cluster + ephemeral

    def seal(domain_seal, domain_sign, seed, transcript, names):
        body = names + sign(seed, domain_sign, scope, transcript + names)
        return ChaCha20Poly1305(mac(root, domain_seal, transcript)).encrypt(
            bytes(12), body, transcript)

    e_a, e_c = raw(ephemeral_a.public_key()), raw(ephemeral_c.public_key())
    shared = ephemeral_c.exchange(X25519PublicKey.from_public_bytes(e_a))
    root = digest(SECRET, shared + e_a + e_c)
    hello = clear(1, e_a) + bytes(92)
    connect = clear(2, e_c)
    connect += seal(SEAL_CONNECT, SIGN_CONNECT, connector_seed, digest(TRANSCRIPT, hello + connect),
                    connector + acceptor[:4])
    accept = clear(3, bytes(32))
    accept += seal(SEAL_ACCEPT, SIGN_ACCEPT, acceptor_seed,
                   digest(TRANSCRIPT, hello + connect + accept), acceptor + connector[:4])
    transcript = digest(TRANSCRIPT, hello + connect + accept)
    show("HELLO", hello)
    show("CONNECT", connect)
    show("ACCEPT", accept)
    show("transcript", transcript)
    show("key from connector", mac(root, FROM_CONNECTOR, transcript))
    show("key from acceptor", mac(root, FROM_ACCEPTOR, transcript))


if __name__ == "__main__":
    primitives()
    handshake()
