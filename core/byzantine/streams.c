// SPDX-License-Identifier: Apache-2.0
//
// Stream states and the selection rule of view changes. See streams.h.
#include "streams.h"

#include <string.h>

#include "../base/bug.h"

#define ENTRY_BYTES 48u
#define HEADER_BYTES 128u

void tacit_stream_init(struct tacit_stream *stream, struct tacit_bump *bump, uint32_t window)
{
    stream->window = window;
    stream->commits = tacit_bump_take(bump, window * sizeof(struct tacit_slot_value), 8);
    stream->claims = tacit_bump_take(bump, window * sizeof(struct tacit_slot_value), 8);
    stream->force = tacit_bump_take(bump, window * sizeof(struct tacit_slot_value), 8);
    stream->used = tacit_bump_take(bump, window * sizeof(uint64_t), 8);
}

static void clear(struct tacit_slot_value *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        entries[i].slot = TACIT_SLOT_NONE;
    }
}

static void forget_view(struct tacit_stream *stream)
{
    stream->has_newview = false;
    stream->newview_base = 0;
    stream->newview_end = 0;
    clear(stream->force, stream->window);
    memset(stream->used, 0, stream->window * sizeof(stream->used[0]));
}

void tacit_stream_reset(struct tacit_stream *stream, uint64_t base,
                        const struct tacit_digest *base_digest)
{
    stream->view = 0;
    stream->base = base;
    stream->base_digest = *base_digest;
    memset(&stream->seal_digest, 0, sizeof(stream->seal_digest));
    stream->claim_count = 0;
    clear(stream->commits, stream->window);
    forget_view(stream);
}

static const struct tacit_slot_value *
entry_at(const struct tacit_stream *stream, const struct tacit_slot_value *entries, uint64_t slot)
{
    const struct tacit_slot_value *entry = &entries[slot % stream->window];
    return entry->slot == slot && tacit_stream_in_window(stream, slot) ? entry : NULL;
}

const struct tacit_slot_value *tacit_stream_commit_of(const struct tacit_stream *stream,
                                                      uint64_t slot)
{
    return entry_at(stream, stream->commits, slot);
}

const struct tacit_slot_value *tacit_stream_force_of(const struct tacit_stream *stream,
                                                     uint64_t slot)
{
    return entry_at(stream, stream->force, slot);
}

bool tacit_stream_is_legal(const struct tacit_stream *stream, uint64_t view, uint64_t slot,
                           const struct tacit_digest *digest)
{
    if (stream->view != view || !tacit_stream_in_window(stream, slot)) {
        return false;
    }
    if (view == 0) {
        return true;
    }
    if (!stream->has_newview || slot < stream->newview_base) {
        return false;
    }
    const struct tacit_slot_value *forced = tacit_stream_force_of(stream, slot);
    return forced == NULL || tacit_digest_is_equal(&forced->digest, digest) ||
           TACIT_BUG(NEW_VIEW_NOT_BINDING);
}

bool tacit_stream_prepare(struct tacit_stream *stream, uint64_t view, uint64_t slot,
                          const struct tacit_digest *digest)
{
    if (!tacit_stream_is_legal(stream, view, slot, digest)) {
        return false;
    }
    uint64_t *used = &stream->used[slot % stream->window];
    if (*used == slot + 1) {
        return false;
    }
    *used = slot + 1;
    return true;
}

bool tacit_stream_commit(struct tacit_stream *stream, uint64_t view, uint64_t slot,
                         const struct tacit_digest *digest)
{
    bool present = stream->view == view || (TACIT_BUG(COMMIT_AFTER_SEAL) && view < stream->view);
    if (!present || !tacit_stream_in_window(stream, slot)) {
        return false;
    }
    struct tacit_slot_value *entry = &stream->commits[slot % stream->window];
    if (entry->slot == slot && entry->view >= view) {
        return false;
    }
    *entry = (struct tacit_slot_value){.slot = slot, .view = view, .digest = *digest};
    return true;
}

bool tacit_stream_checkpoint(struct tacit_stream *stream, uint64_t base,
                             const struct tacit_digest *digest)
{
    if (base <= stream->base) {
        return false;
    }
    stream->base = base;
    stream->base_digest = *digest;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < stream->claim_count; i++) {
        if (stream->claims[i].slot >= base) {
            stream->claims[kept++] = stream->claims[i];
        }
    }
    stream->claim_count = kept;
    return true;
}

bool tacit_stream_seal(struct tacit_stream *stream, uint64_t view,
                       const struct tacit_slot_value *claims, uint32_t count)
{
    if (view < stream->view || count > stream->window || view == UINT64_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!tacit_stream_in_window(stream, claims[i].slot) || claims[i].view > view ||
            (i > 0 && claims[i].slot <= claims[i - 1].slot)) {
            return false;
        }
    }
    memcpy(stream->claims, claims, count * sizeof(claims[0]));
    stream->claim_count = count;
    stream->view = view + 1;
    forget_view(stream);
    return true;
}

size_t tacit_stream_sealed(struct tacit_stream *stream, uint8_t *out)
{
    size_t bytes = tacit_stream_encode(stream, out);
    tacit_body_digest(&stream->seal_digest, out, bytes);
    return bytes;
}

bool tacit_stream_newview(struct tacit_stream *stream, uint64_t view, uint64_t base,
                          const struct tacit_digest *base_digest,
                          const struct tacit_slot_value *force, uint32_t count)
{
    if (view == 0 || stream->view != view || stream->has_newview) {
        return false;
    }
    if (base > stream->base) {
        (void)tacit_stream_checkpoint(stream, base, base_digest);
    }
    stream->has_newview = true;
    stream->newview_base = base;
    stream->newview_end = base;
    for (uint32_t i = 0; i < count; i++) {
        stream->force[force[i].slot % stream->window] = force[i];
        if (force[i].slot >= stream->newview_end) {
            stream->newview_end = force[i].slot + 1;
        }
    }
    return true;
}

// ---- encoding

static void put64(uint8_t *out, uint64_t value)
{
    memcpy(out, &value, 8);
}

static uint64_t get64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return value;
}

static void put_entry(uint8_t *out, const struct tacit_slot_value *entry)
{
    put64(out, entry->slot);
    put64(out + 8, entry->view);
    memcpy(out + 16, entry->digest.bytes, TACIT_DIGEST_BYTES);
}

static void get_entry(struct tacit_slot_value *entry, const uint8_t *bytes)
{
    entry->slot = get64(bytes);
    entry->view = get64(bytes + 8);
    memcpy(entry->digest.bytes, bytes + 16, TACIT_DIGEST_BYTES);
}

size_t tacit_stream_bytes_max(uint32_t window)
{
    return HEADER_BYTES + (size_t)window * (3 * ENTRY_BYTES + 8);
}

static size_t put_table(const struct tacit_stream *stream, const struct tacit_slot_value *entries,
                        uint8_t *out, uint64_t *count)
{
    *count = 0;
    for (uint64_t slot = stream->base; slot < stream->base + stream->window; slot++) {
        const struct tacit_slot_value *entry = entry_at(stream, entries, slot);
        if (entry != NULL) {
            put_entry(out + (*count)++ * ENTRY_BYTES, entry);
        }
    }
    return *count * ENTRY_BYTES;
}

// u64 view, base, commits, claims, forced, used | u64 has newview, its base | 32 digest of the
// base; commits, claims, forced, then the used slots, each ascending. newview_end follows from the
// rest.
size_t tacit_stream_encode(const struct tacit_stream *stream, uint8_t *out)
{
    uint64_t commits;
    uint64_t forced;
    uint64_t used = 0;
    size_t at = HEADER_BYTES;
    at += put_table(stream, stream->commits, out + at, &commits);
    for (uint32_t i = 0; i < stream->claim_count; i++, at += ENTRY_BYTES) {
        put_entry(out + at, &stream->claims[i]);
    }
    at += put_table(stream, stream->force, out + at, &forced);
    for (uint64_t slot = stream->base; slot < stream->base + stream->window; slot++) {
        if (stream->used[slot % stream->window] == slot + 1) {
            put64(out + at, slot);
            at += 8;
            used++;
        }
    }
    const uint64_t header[8] = {stream->view,
                                stream->base,
                                commits,
                                stream->claim_count,
                                forced,
                                used,
                                stream->has_newview ? 1 : 0,
                                stream->newview_base};
    for (uint32_t i = 0; i < 8; i++) {
        put64(out + 8 * i, header[i]);
    }
    memcpy(out + 64, stream->base_digest.bytes, TACIT_DIGEST_BYTES);
    memcpy(out + 96, stream->seal_digest.bytes, TACIT_DIGEST_BYTES);
    return at;
}

// Entries ascending within the window, into a table or (`list`) one after the other.
static bool get_table(const struct tacit_stream *stream, struct tacit_slot_value *entries,
                      bool list, const uint8_t *bytes, uint64_t count)
{
    uint64_t least = stream->base;
    for (uint64_t i = 0; i < count; i++) {
        struct tacit_slot_value entry;
        get_entry(&entry, bytes + i * ENTRY_BYTES);
        if (entry.slot < least || !tacit_stream_in_window(stream, entry.slot) ||
            entry.view > stream->view) {
            return false;
        }
        least = entry.slot + 1;
        entries[list ? i : entry.slot % stream->window] = entry;
    }
    return true;
}

static bool decode_tables(struct tacit_stream *stream, const uint8_t *bytes,
                          const uint64_t header[8])
{
    const uint8_t *at = bytes + HEADER_BYTES;
    if (!get_table(stream, stream->commits, false, at, header[2])) {
        return false;
    }
    at += header[2] * ENTRY_BYTES;
    if (!get_table(stream, stream->claims, true, at, header[3])) {
        return false;
    }
    stream->claim_count = (uint32_t)header[3];
    at += header[3] * ENTRY_BYTES;
    if (!get_table(stream, stream->force, false, at, header[4])) {
        return false;
    }
    stream->newview_end = stream->newview_base;
    for (uint64_t i = 0; i < header[4]; i++, at += ENTRY_BYTES) {
        uint64_t slot = get64(at);
        stream->newview_end = slot >= stream->newview_end ? slot + 1 : stream->newview_end;
    }
    uint64_t least = stream->base;
    for (uint64_t i = 0; i < header[5]; i++, at += 8) {
        uint64_t slot = get64(at);
        if (slot < least || !tacit_stream_in_window(stream, slot)) {
            return false;
        }
        least = slot + 1;
        stream->used[slot % stream->window] = slot + 1;
    }
    return true;
}

enum tacit_verdict tacit_stream_decode(struct tacit_stream *stream, const uint8_t *bytes,
                                       size_t size)
{
    static const struct tacit_digest none;
    uint64_t header[8];
    tacit_stream_reset(stream, 0, &none);
    if (size < HEADER_BYTES) {
        return TACIT_VERDICT_MALFORMED;
    }
    for (uint32_t i = 0; i < 8; i++) {
        header[i] = get64(bytes + 8 * i);
    }
    for (uint32_t i = 2; i < 6; i++) {
        if (header[i] > stream->window) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    size_t want = HEADER_BYTES + (header[2] + header[3] + header[4]) * ENTRY_BYTES + header[5] * 8;
    if (want != size || header[6] > 1 || header[1] > UINT64_MAX - stream->window ||
        (header[6] == 0 && (header[4] != 0 || header[7] != 0))) {
        return TACIT_VERDICT_MALFORMED;
    }
    stream->view = header[0];
    stream->base = header[1];
    memcpy(stream->base_digest.bytes, bytes + 64, TACIT_DIGEST_BYTES);
    memcpy(stream->seal_digest.bytes, bytes + 96, TACIT_DIGEST_BYTES);
    stream->has_newview = header[6] != 0;
    stream->newview_base = header[7];
    if (!decode_tables(stream, bytes, header)) {
        tacit_stream_reset(stream, 0, &none);
        return TACIT_VERDICT_MALFORMED;
    }
    return TACIT_VERDICT_OK;
}

// ---- claims

size_t tacit_claims_bytes_max(uint32_t window)
{
    return 8 + (size_t)window * ENTRY_BYTES;
}

size_t tacit_claims_encode(uint8_t *out, const struct tacit_slot_value *claims, uint32_t count)
{
    put64(out, count);
    for (uint32_t i = 0; i < count; i++) {
        put_entry(out + 8 + i * ENTRY_BYTES, &claims[i]);
    }
    return 8 + (size_t)count * ENTRY_BYTES;
}

enum tacit_verdict tacit_claims_decode(struct tacit_slot_value *claims, uint32_t *count,
                                       uint32_t window, uint64_t view, const uint8_t *bytes,
                                       size_t size)
{
    *count = 0;
    if (size < 8 || (size - 8) % ENTRY_BYTES != 0 || (size - 8) / ENTRY_BYTES > window ||
        get64(bytes) != (size - 8) / ENTRY_BYTES) {
        return TACIT_VERDICT_MALFORMED;
    }
    uint32_t claimed = (uint32_t)((size - 8) / ENTRY_BYTES);
    for (uint32_t i = 0; i < claimed; i++) {
        get_entry(&claims[i], bytes + 8 + i * ENTRY_BYTES);
        if (claims[i].view > view || (i > 0 && claims[i].slot <= claims[i - 1].slot)) {
            return TACIT_VERDICT_MALFORMED;
        }
    }
    *count = claimed;
    return TACIT_VERDICT_OK;
}

// ---- selection

// What counts in one slot so far. At equal views a COMMIT outranks claims; claims that differ there
// leave the slot free (proof that nothing was decided in a view up to it).
struct best {
    const struct tacit_slot_value *entry;
    bool is_commit;
    bool differ;
};

static bool consider(struct best *best, const struct tacit_slot_value *entry, bool is_commit)
{
    bool outranks = is_commit && !TACIT_BUG(CLAIM_EQUALS_COMMIT);
    if (TACIT_BUG(SELECT_LOWEST_VIEW) && best->entry != NULL && entry->view != best->entry->view) {
        if (entry->view < best->entry->view) {
            *best = (struct best){.entry = entry, .is_commit = is_commit};
        }
        return true;
    }
    if (best->entry == NULL || entry->view > best->entry->view ||
        (entry->view == best->entry->view && outranks && !best->is_commit)) {
        *best = (struct best){.entry = entry, .is_commit = is_commit};
        return true;
    }
    if (entry->view < best->entry->view || (best->is_commit && !is_commit)) {
        return true;
    }
    if (!tacit_digest_is_equal(&entry->digest, &best->entry->digest)) {
        best->differ = true;
        return !best->is_commit;
    }
    return true;
}

static const struct tacit_slot_value *claim_of(const struct tacit_stream *state, uint64_t slot)
{
    uint32_t low = 0;
    uint32_t high = state->claim_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->claims[middle].slot < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < state->claim_count && state->claims[low].slot == slot ? &state->claims[low] : NULL;
}

bool tacit_select(const struct tacit_stream *const *states, uint32_t count, uint64_t base,
                  uint32_t window, struct tacit_slot_value *force, uint32_t *forced)
{
    *forced = 0;
    for (uint64_t slot = base; slot < base + window; slot++) {
        struct best best = {0};
        for (uint32_t i = 0; i < count; i++) {
            const struct tacit_slot_value *commit = tacit_stream_commit_of(states[i], slot);
            const struct tacit_slot_value *claim = claim_of(states[i], slot);
            if ((commit != NULL && !consider(&best, commit, true)) ||
                (claim != NULL && !consider(&best, claim, false))) {
                return false;
            }
        }
        if (best.entry != NULL && !best.differ) {
            force[(*forced)++] = *best.entry;
        }
    }
    return true;
}
