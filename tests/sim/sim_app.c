// SPDX-License-Identifier: Apache-2.0
//
// See sim_app.h. Arena: page p holds the objects o with o mod pages = p, 16 bytes each, from its
// start on; behind them the last tokens and values that were written there, which no reply shows
// but every digest does.
#include "sim_app.h"

#include <string.h>

#include "checkers/group.h"

#define TRAIL_OFFSET 2048u
#define TRAIL_WORDS ((TACIT_PAGE_BYTES - TRAIL_OFFSET) / 4u)

static enum tacit_status app_init(struct tacit_app_host *host, const char *options,
                                  struct tacit_error *error)
{
    (void)options;
    if (host->arena_bytes < TACIT_PAGE_BYTES) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "the simulator's application needs a page");
    }
    return TACIT_OK;
}

static size_t execute(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                      size_t reply_max, bool is_query)
{
    struct checker_op op;
    uint32_t operation;
    if (reply_max < CHECKER_REPLY_BYTES ||
        !checker_body_decode(&op, &operation, request->bytes, request->size) ||
        (is_query && !checker_kind_reads(op.kind))) {
        if (reply_max == 0) {
            return 0;
        }
        memset(reply, 0xff, 1);
        return 1;
    }
    uint32_t pages = (uint32_t)(host->arena_bytes / TACIT_PAGE_BYTES);
    uint32_t number = checker_object_of(op.kind, op.key);
    uint8_t *page = (uint8_t *)host->arena + (size_t)(number % pages) * TACIT_PAGE_BYTES;
    struct checker_object object;
    uint8_t *at = page + (size_t)(number / pages) * sizeof object;
    memcpy(&object, at, sizeof object);
    uint64_t result[2];
    checker_apply(&object, op.kind, op.argument, result);
    if (!checker_kind_reads(op.kind)) {
        uint8_t *trail = page + TRAIL_OFFSET + 4u * (op.argument % TRAIL_WORDS);
        host->touch(host, at, sizeof object);
        host->touch(host, trail, sizeof op.argument);
        memcpy(at, &object, sizeof object);
        memcpy(trail, &op.argument, sizeof op.argument);
    }
    memcpy(reply, result, sizeof result);
    return sizeof result;
}

static size_t app_apply(struct tacit_app_host *host, const struct tacit_request *request,
                        void *reply, size_t reply_max)
{
    return execute(host, request, reply, reply_max, false);
}

static size_t app_query(struct tacit_app_host *host, const struct tacit_request *request,
                        void *reply, size_t reply_max)
{
    return execute(host, request, reply, reply_max, true);
}

const struct tacit_app sim_app = {
    .version = TACIT_APP_VERSION,
    .name = "sim",
    .init = app_init,
    .apply = app_apply,
    .query = app_query,
};
