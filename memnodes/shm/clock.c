// SPDX-License-Identifier: Apache-2.0
//
// The fabric's clock. It goes on while the machine is suspended: a leader that slept with its
// machine must not take its lease for one that still runs.
#include <time.h>

#include "tacit/shm.h"

tacit_time_ns_t tacit_shm_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (tacit_time_ns_t)now.tv_sec * 1000000000u + (tacit_time_ns_t)now.tv_nsec;
}
