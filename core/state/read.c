// SPDX-License-Identifier: Apache-2.0
//
// See read.h.
#include "read.h"

bool tacit_state_read(struct tacit_fabric *fabric, struct tacit_state_source source,
                      uint64_t offset, void *to, uint32_t bytes, uint64_t what)
{
    struct tacit_region_key key = {TACIT_REGION_STATE, source.node, source.incarnation};
    int32_t region = fabric->ops->region(fabric, source.node, key);
    if (region < 0) {
        return false;
    }
    struct tacit_op op = {.kind = TACIT_OP_READ,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .host = source.node,
                          .region = region,
                          .bytes = bytes,
                          .offset = offset,
                          .local = to,
                          .cookie = TACIT_COOKIE(TACIT_COOKIE_TRANSFER, what)};
    return fabric->ops->post(fabric, &op);
}
