// SPDX-License-Identifier: Apache-2.0
//
// Stream states and claims, as summaries, SEAL_VIEW and NEW_VIEW carry them, against bytes:
// whatever is accepted encodes to the same bytes again, keeps the invariants, and goes through the
// selection of a view change. The first two bytes cut the rest into two states and claims.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/byzantine/streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WINDOW = 8, STATES = 2 };

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// Exactly the input, so that the sanitizer sees any step outside.
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    must(bytes != NULL);
    memcpy(bytes, data, size);
    return bytes;
}

static bool check_state(struct tacit_stream *stream, const uint8_t *data, size_t size)
{
    uint8_t *bytes = copy_of(data, size);
    uint8_t *again = malloc(tacit_stream_bytes_max(WINDOW));
    must(again != NULL);
    bool accepted = tacit_stream_decode(stream, bytes, size) == TACIT_VERDICT_OK;
    size_t used = tacit_stream_encode(stream, again); // also of what a refused one leaves
    must(used <= tacit_stream_bytes_max(WINDOW));
    if (accepted) {
        must(used == size && memcmp(again, bytes, size) == 0);
        must(stream->claim_count <= WINDOW);
        for (uint64_t slot = stream->base; slot - stream->base < WINDOW; slot++) {
            const struct tacit_slot_value *commit = tacit_stream_commit_of(stream, slot);
            must(commit == NULL || commit->slot == slot);
        }
    }
    free(again);
    free(bytes);
    return accepted;
}

static void check_claims(const uint8_t *data, size_t size)
{
    struct tacit_slot_value claims[WINDOW];
    uint8_t *again = malloc(tacit_claims_bytes_max(WINDOW));
    uint8_t *bytes = copy_of(data, size);
    uint32_t count = 0;
    must(again != NULL);
    if (tacit_claims_decode(claims, &count, WINDOW, 1000, bytes, size) == TACIT_VERDICT_OK) {
        must(count <= WINDOW);
        must(tacit_claims_encode(again, claims, count) == size && memcmp(again, bytes, size) == 0);
        for (uint32_t i = 0; i < count; i++) {
            must(claims[i].view <= 1000 && (i == 0 || claims[i - 1].slot < claims[i].slot));
        }
    }
    free(bytes);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(64) char memory[1u << 16];
    if (size < 2) {
        return 0;
    }
    size_t first = size * data[0] / 256;
    size_t second = (size - first) * data[1] / 256;
    first = first < 2 ? 2 : first;
    second = first + second > size ? size - first : second;
    const size_t at[STATES + 1] = {2, first, first + second};
    struct tacit_bump bump = {.base = memory};
    struct tacit_stream streams[STATES];
    const struct tacit_stream *chosen[STATES];
    bool all = true;
    for (uint32_t i = 0; i < STATES; i++) {
        tacit_stream_init(&streams[i], &bump, WINDOW);
        all = check_state(&streams[i], data + at[i], at[i + 1] - at[i]) && all;
        chosen[i] = &streams[i];
    }
    must(bump.used <= sizeof memory);
    check_claims(data + at[STATES], size - at[STATES]);
    struct tacit_slot_value force[WINDOW];
    uint32_t forced = 0;
    uint64_t base = streams[0].base > streams[1].base ? streams[0].base : streams[1].base;
    if (all && tacit_select(chosen, STATES, base, WINDOW, force, &forced)) {
        must(forced <= WINDOW);
        for (uint32_t i = 0; i < forced; i++) {
            must(force[i].slot >= base && (i == 0 || force[i - 1].slot < force[i].slot));
        }
    }
    return 0;
}
