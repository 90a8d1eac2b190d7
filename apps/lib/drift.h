// SPDX-License-Identifier: Apache-2.0
//
// Whether this machine's clock is one that leases may count on: they assume a bound on how much
// clocks differ in rate, so a clock that is being steered faster than that must not start.
#ifndef TACIT_APPS_LIB_DRIFT_H
#define TACIT_APPS_LIB_DRIFT_H

#include <stdint.h>
#include <sys/timex.h>

#include "tacit/types.h"

// How far the kernel's settings let the clock run from its oscillator's rate, in parts per million,
// rounded up.
uint32_t tacit_drift_steering_ppm(const struct timex *settings);
// TACIT_EINVAL, with what may be done, when this machine's clock is steered by more than
// `drift_ppm`. A clock that nobody steers passes, as does one whose settings cannot be read (some
// sandboxes). Start-up code.
enum tacit_status tacit_drift_check(uint32_t drift_ppm, struct tacit_error *error);

#endif
