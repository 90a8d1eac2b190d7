// SPDX-License-Identifier: Apache-2.0
//
// The smallest application: it answers with the request's bytes in reverse order and keeps no more
// state than a count. Measures agreement alone (the "Flip" of the uBFT evaluation).
#ifndef TACIT_FLIP_H
#define TACIT_FLIP_H

#include "tacit/app.h"

#ifdef __cplusplus
extern "C" {
#endif

// No options; needs one page, whose first word (little-endian) counts the requests.
extern const struct tacit_app tacit_flip_app;

#ifdef __cplusplus
}
#endif

#endif
