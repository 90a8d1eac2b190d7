// SPDX-License-Identifier: Apache-2.0
//
// What the two ways to make a digest, one (digest.c) and four at a time (digest_four.c), must have
// in common. Private to this folder.
#ifndef TACIT_CRYPTO_DIGEST_INTERNAL_H
#define TACIT_CRYPTO_DIGEST_INTERNAL_H

#include "tacit/crypto.h"

#define TACIT_DIGEST_PERSONAL_BYTES 16u

// BLAKE2b's personalisation field. `use` is 8 characters that name what BLAKE2b is used for. Domain
// 0 ends the process.
void tacit_digest_personal(uint8_t out[TACIT_DIGEST_PERSONAL_BYTES], const char *use,
                           tacit_domain_t domain);

#endif
