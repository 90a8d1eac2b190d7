// SPDX-License-Identifier: Apache-2.0
//
// Decoders of payloads and certificates: whatever they accept encodes to the same bytes again, and
// a certificate names distinct members only.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/byzantine/payload.h"

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_certificate(const uint8_t *data, size_t size, uint8_t quorum, uint8_t replicas)
{
    struct tacit_certificate certificate;
    uint8_t again[1024];
    size_t used = 0;
    // Exactly the input, so that the sanitizer sees any step outside.
    uint8_t *bytes = malloc(size + 1);
    must(bytes != NULL);
    memcpy(bytes, data, size);
    if (tacit_certificate_decode(&certificate, bytes, size, quorum, replicas, &used) ==
        TACIT_VERDICT_OK) {
        must(used <= size && certificate.count == quorum);
        for (uint8_t i = 0; i < quorum; i++) {
            must(certificate.shares[i].signer < replicas);
            must(i == 0 || certificate.shares[i - 1].signer < certificate.shares[i].signer);
        }
        must(tacit_certificate_encode(again, sizeof again, &certificate) == used);
        must(memcmp(again, bytes, used) == 0);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    uint8_t replicas = (uint8_t)(1 + data[0] % TACIT_REPLICAS_MAX);
    uint8_t quorum = (uint8_t)(1 + data[1] % replicas);
    data += 2;
    size -= 2;
    check_certificate(data, size, quorum, replicas);
    if (size >= TACIT_PAYLOAD_BYTES) {
        struct tacit_payload payload;
        uint8_t again[TACIT_PAYLOAD_BYTES];
        if (tacit_payload_decode(&payload, data) == TACIT_VERDICT_OK) {
            tacit_payload_encode(again, &payload);
            must(memcmp(again, data, sizeof again) == 0);
            must(tacit_payload_is_equal(&payload, &payload));
        }
    }
    return 0;
}
