// SPDX-License-Identifier: Apache-2.0
//
// The replicated key-value application: commands with the semantics of Redis on binary-safe
// strings.
#ifndef TACIT_KV_H
#define TACIT_KV_H

#include "tacit/app.h"

#ifdef __cplusplus
extern "C" {
#endif

// Requests and replies as in kv_wire.h. No options. All its state is in the arena, so it needs no
// reload.
extern const struct tacit_app tacit_kv_app;

#ifdef __cplusplus
}
#endif

#endif
