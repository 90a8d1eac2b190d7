// SPDX-License-Identifier: Apache-2.0
//
// How long a replica waits for an answer of all the others before it turns to signatures: twice
// what all but one of 500 answers take here at present, but never less than is configured, and
// never more than TACIT_PATIENCE_TIMES that. On a machine with fewer processors than replicas, one
// that does not answer for milliseconds is mostly not silent: others have its processor. To sign
// then takes even more of the processors, so that the next answers are late, too. The upper bound
// keeps the one wait for who is silent indeed short, and what a liar gains by answering late.
//
// What comes after the wait was over counts as well (it tells most): else a wait that is too short
// would never be found to be. But what took longer than anybody is ever waited for says nothing
// about how long to wait: who was stopped for a second answers a hundred ids late when it goes on,
// and the next one that stops would be waited for as long as can be.
#ifndef TACIT_BYZANTINE_PATIENCE_H
#define TACIT_BYZANTINE_PATIENCE_H

#include "../base/bug.h"
#include "tacit/types.h"

#define TACIT_PATIENCE_TIMES 5u

// Zero: nothing is known yet.
struct tacit_patience {
    tacit_time_ns_t usual_ns;
};

// An answer of all took so long. The estimate needs no history: each sample above raises it by 1/8,
// each below lowers it by 1/4000, so it rests where one of 500 is above.
static inline void tacit_patience_sample(struct tacit_patience *patience, tacit_time_ns_t took_ns,
                                         tacit_time_ns_t least_ns)
{
    tacit_time_ns_t most_ns = TACIT_PATIENCE_TIMES * least_ns / 2;
    if (took_ns > TACIT_PATIENCE_TIMES * least_ns && !TACIT_BUG(STOPPED_TEACHES_PATIENCE)) {
        return;
    }
    if (took_ns > patience->usual_ns) {
        patience->usual_ns += patience->usual_ns / 8 + least_ns / 64 + 1;
    } else {
        patience->usual_ns -= patience->usual_ns / 4000 + (patience->usual_ns > 0);
    }
    patience->usual_ns = patience->usual_ns < most_ns ? patience->usual_ns : most_ns;
}

// From `least_ns` to TACIT_PATIENCE_TIMES that.
static inline tacit_time_ns_t tacit_patience_ns(const struct tacit_patience *patience,
                                                tacit_time_ns_t least_ns)
{
    bool grown = 2 * patience->usual_ns > least_ns && !TACIT_BUG(PATIENCE_AS_CONFIGURED);
    return grown ? 2 * patience->usual_ns : least_ns;
}

#endif
