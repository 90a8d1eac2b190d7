// SPDX-License-Identifier: Apache-2.0
//
// The bound on clock drift against what the kernel does to the clock at present.
#include "drift.h"

#define TICK_US 10000 // nominal length of a tick of USER_HZ
#define PPM_OF_TICK 100u
#define FREQUENCY_ONE 65536u // a part per million

uint32_t tacit_drift_steering_ppm(const struct timex *settings)
{
    int64_t frequency = (int64_t)settings->freq;
    int64_t steering =
        frequency + ((int64_t)settings->tick - TICK_US) * PPM_OF_TICK * FREQUENCY_ONE;
    uint64_t amount = (uint64_t)(steering < 0 ? -steering : steering);
    return (uint32_t)((amount + FREQUENCY_ONE - 1) / FREQUENCY_ONE);
}

enum tacit_status tacit_drift_check(uint32_t drift_ppm, struct tacit_error *error)
{
    struct timex settings = {0}; // changes nothing
    if (adjtimex(&settings) < 0) {
        return TACIT_OK;
    }
    uint32_t steering_ppm = tacit_drift_steering_ppm(&settings);
    if (steering_ppm <= drift_ppm) {
        return TACIT_OK;
    }
    return tacit_error_set(error, TACIT_EINVAL, 0,
                           "this machine's clock is being steered by %u ppm, and leases count on "
                           "at most timing.drift_ppm: %u; wait until it is set right, or raise "
                           "drift_ppm, or set timing.lease: 0",
                           steering_ppm, drift_ppm);
}
