// SPDX-License-Identifier: Apache-2.0
//
// See flip.h. The count makes state differ when a request was executed twice or not at all.
#include "flip.h"

#include <string.h>

static enum tacit_status flip_init(struct tacit_app_host *host, const char *options,
                                   struct tacit_error *error)
{
    if (options[0] != '\0') {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "flip: unknown option \"%s\"; this application takes none", options);
    }
    if (host->arena_bytes < TACIT_PAGE_BYTES) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "flip: an arena of %zu bytes is too small; accepted are %u and more",
                               host->arena_bytes, TACIT_PAGE_BYTES);
    }
    return TACIT_OK;
}

static size_t flip_apply(struct tacit_app_host *host, const struct tacit_request *request,
                         void *reply, size_t reply_max)
{
    uint64_t *count = host->arena;
    host->touch(host, count, sizeof *count);
    (*count)++;
    const uint8_t *from = request->bytes;
    uint8_t *to = reply;
    // Of a request that is longer than a reply may be, the end.
    size_t size = request->size < reply_max ? request->size : reply_max;
    size_t done = 0; // by words: what benches measure is not to be this
    for (; done + 8 <= size; done += 8) {
        uint64_t word;
        memcpy(&word, from + request->size - done - 8, 8);
        word = __builtin_bswap64(word);
        memcpy(to + done, &word, 8);
    }
    for (; done < size; done++) {
        to[done] = from[request->size - 1 - done];
    }
    return size;
}

const struct tacit_app tacit_flip_app = {
    .version = TACIT_APP_VERSION,
    .name = "flip",
    .init = flip_init,
    .apply = flip_apply,
};
