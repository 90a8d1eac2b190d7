// SPDX-License-Identifier: Apache-2.0
//
// The one source of every draw that a test makes: schedules, faults, workloads, key bytes. Four
// back ends give one simulator four lives: a seed (random search), recorded bytes (replay and
// shrinking), an odometer (enumerates all combinations), and a fuzzer's input (coverage-guided
// search). Whatever the back end, the value 0 means "nothing happens": callers arrange their draws
// so, and then a source that has run dry (it answers 0 for ever) is the quietest run there is,
// which is what makes recorded draws shrink well.
//
// A draw below 1, that is with one possible outcome, consumes nothing. Objects are in the caller's
// memory and belong to one thread.
#ifndef TACIT_TESTS_CHOICE_H
#define TACIT_TESTS_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHOICE_ODOMETER_DEPTH 64u
// Rates are in 1/65536.
#define CHOICE_ALWAYS 65536u

enum choice_kind { CHOICE_SEED = 1, CHOICE_BYTES, CHOICE_ODOMETER };

struct choice {
    enum choice_kind kind;
    uint64_t state; // seed: xorshift-multiply generator
    // Recorded bytes or a fuzzer's input; not owned.
    const uint8_t *bytes;
    size_t bytes_count;
    size_t bytes_used;
    // Odometer: the digits of the present combination and their bases.
    uint32_t digit[CHOICE_ODOMETER_DEPTH];
    uint32_t base[CHOICE_ODOMETER_DEPTH];
    uint32_t depth;    // digits of the present combination
    uint32_t position; // digits that were read in this pass
    bool overflow;     // a generator made more draws than the odometer is deep; the rest were 0
    // Recording, if record_max > 0: every draw in the format that CHOICE_BYTES reads.
    uint8_t *record;
    size_t record_max;
    size_t record_count;
    bool record_full;
    uint64_t draws;
};

// Starts a source from a seed. Equal seeds give equal draws, on every machine.
void choice_init_seed(struct choice *choice, uint64_t seed);
// Starts a source that reads `bytes` (kept by the caller while in use): a draw with bound up to
// 2^8, 2^16, 2^32 takes 1, 2, 4 bytes, little-endian, modulo the bound. After the end every draw is
// 0. This is the replay back end and the libFuzzer back end.
void choice_init_bytes(struct choice *choice, const uint8_t *bytes, size_t count);
// Starts an odometer: do { run a generator } while (choice_odometer_next()) meets every combination
// of its draws exactly once, as long as it makes at most CHOICE_ODOMETER_DEPTH draws with a bound
// above 1.
void choice_init_odometer(struct choice *choice);
// Next combination; false when all were met.
bool choice_odometer_next(struct choice *choice);
// From now on records draws into `buffer`. When it is full recording stops and record_full is set.
void choice_record(struct choice *choice, uint8_t *buffer, size_t max);

// The slow parts of a draw (not a seed, or recording); use choice_u32().
uint32_t choice_draw(struct choice *choice, uint32_t bound);

// Value below `bound` (bound 0 and 1: always 0, consumes nothing).
static inline uint32_t choice_u32(struct choice *choice, uint32_t bound)
{
    if (bound <= 1) {
        return 0;
    }
    if (choice->kind != CHOICE_SEED || choice->record_max != 0) {
        return choice_draw(choice, bound);
    }
    choice->draws++;
    choice->state += 0x9e3779b97f4a7c15ull;
    uint64_t value = choice->state;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    value ^= value >> 31;
    return (uint32_t)((value >> 32) * bound >> 32);
}

// True with probability rate/65536. A draw of 0 is false unless the rate is CHOICE_ALWAYS. Rates 0
// and CHOICE_ALWAYS consume nothing.
static inline bool choice_chance(struct choice *choice, uint32_t rate)
{
    if (rate == 0) {
        return false;
    }
    if (rate >= CHOICE_ALWAYS) {
        return true;
    }
    return choice_u32(choice, CHOICE_ALWAYS) >= CHOICE_ALWAYS - rate;
}

// Value in [low, high]; a draw of 0 gives `low`.
static inline uint32_t choice_range(struct choice *choice, uint32_t low, uint32_t high)
{
    return low + choice_u32(choice, high - low + 1);
}

// A duration up to `max_ns` whose order of magnitude is uniform, so that both short and long ones
// are common; 0 gives 0.
uint64_t choice_spread_ns(struct choice *choice, uint64_t max_ns);

// Fills `out` with drawn bytes.
void choice_bytes(struct choice *choice, void *out, size_t count);

// Makes libsodium's randombytes come from `choice` (process-wide; NULL: all zeros). Call before
// sodium_init(). The source must outlive its use.
void choice_drive_randombytes(struct choice *choice);

#endif
