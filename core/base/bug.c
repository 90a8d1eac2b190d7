// SPDX-License-Identifier: Apache-2.0
//
// The switch of the seeded bugs; see bug.h.
#include "bug.h"

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
uint32_t tacit_seeded_bug;
#else
typedef int tacit_bug_unused; // a translation unit is not empty
#endif
