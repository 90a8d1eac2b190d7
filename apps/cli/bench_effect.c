// SPDX-License-Identifier: Apache-2.0
//
// See bench_effect.h.
#include "bench_effect.h"

#include <string.h>

#include "cli.h"

#define BIT(effect) (1u << EFFECT_##effect)
#define LATE_MOST 10u // faults that came too late, more than are measured

struct expectation {
    const char *fault;
    bool needs_done;
    uint32_t seen; // bits, one of which is enough; 0: may pass unnoticed
};

// Any other attack is expected to be met in one way or another.
static const struct expectation expectations[] = {
    {"kill-follower", false, BIT(GONE)},
    {"kill-leader", false, BIT(GONE)},
    {"stop-follower", false, BIT(SIGNED) | BIT(GONE)},
    {"stop-leader", false, BIT(VIEWS) | BIT(GONE)},
    {"kill-memnode", false, BIT(GONE)},
    {"lying-client", false, 0}, // says itself by its exit status whether it lied
    {"silent", true, BIT(SIGNED) | BIT(VIEWS)},
    {"half-send", true, BIT(SIGNED) | BIT(VIEWS)},
    {"slow", false, BIT(SIGNED) | BIT(VIEWS)},
    {"garbage", true, BIT(REFUSED)},
    {"torn", true, BIT(REFUSED)},
    {"oversized", true, BIT(REFUSED)},
    {"flood", true, BIT(REFUSED)},
    {"equivocate", true, BIT(PROVEN)},
    {"edit", true, BIT(REFUSED) | BIT(PROVEN)},
    {"wrong-view", true, BIT(VIEWS) | BIT(REFUSED)},
    {"everything", true, BIT(REFUSED) | BIT(PROVEN)},
    {"late", false, 0},         // what it costs is time: no rule is broken, and nobody counts it
    {"false-replies", true, 0}, // to clients, who believe f+1
    {"corrupt", false, 0},      // most of its bits matter to nobody
};

static const struct expectation usual = {
    NULL, true, BIT(SIGNED) | BIT(REFUSED) | BIT(PROVEN) | BIT(VIEWS) | BIT(GONE)};

static const struct expectation *expectation_of(const char *fault)
{
    for (size_t i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
        if (strcmp(fault, expectations[i].fault) == 0) {
            return &expectations[i];
        }
    }
    return &usual;
}

uint32_t effect_expected(const char *fault, bool *needs_done)
{
    const struct expectation *expectation = expectation_of(fault);
    *needs_done = expectation->needs_done;
    return expectation->seen;
}

const char *effect_missing(const char *fault, const struct effect_counts *before,
                           const struct effect_counts *after)
{
    const struct expectation *expectation = expectation_of(fault);
    uint32_t grown = 0;
    for (unsigned e = 0; e < EFFECTS; e++) {
        grown |= after->count[e] > before->count[e] ? 1u << e : 0;
    }
    if (expectation->needs_done && (grown & BIT(DONE)) == 0) {
        return "the liar did nothing";
    }
    return expectation->seen != 0 && (grown & expectation->seen) == 0
               ? "no correct replica has counted anything that comes of it"
               : NULL;
}

const char *effect_name(enum effect effect)
{
    static const char *const names[EFFECTS] = {
        "done", "decided_by_signatures", "refused", "proven", "views_left", "gone"};
    return effect < EFFECTS ? names[effect] : "none";
}

enum effect_successor effect_successor(uint64_t led_ns, uint64_t fault_ns, uint64_t now_ns)
{
    if (led_ns > fault_ns) {
        return EFFECT_SUCCESSOR;
    }
    return led_ns != 0 && now_ns > fault_ns + EFFECT_LATE_NS ? EFFECT_LED_BEFORE
                                                             : EFFECT_NO_SUCCESSOR;
}

bool effect_is_late_too_often(uint64_t late, uint64_t done)
{
    return late > done + LATE_MOST;
}

static bool has(const json_t *list, uint32_t id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_integer_value(json_array_get(list, i)) == (json_int_t)id) {
            return true;
        }
    }
    return false;
}

static void add(struct effect_counts *sum, const json_t *report, struct local_node faulty)
{
    const json_t *list = json_object_get(json_object_get(report, "byzantine"), "condemned");
    bool is_replica = faulty.kind == LOCAL_REPLICA;
    sum->count[EFFECT_SIGNED] += local_number(report, "byzantine", "decided_slow");
    sum->count[EFFECT_VIEWS] += local_number(report, "byzantine", "seals");
    sum->count[EFFECT_REFUSED] += local_number(report, "byzantine", "signatures_bad") +
                                  local_number(report, "counters", "malformed");
    sum->count[EFFECT_PROVEN] += is_replica && has(list, faulty.id);
    sum->count[EFFECT_GONE] +=
        !has(json_object_get(report, is_replica ? "trusted" : "memnodes_up"), faulty.id);
}

struct effect_counts effect_count(const struct local *local, struct local_node faulty)
{
    struct effect_counts sum = {0};
    if (faulty.kind == LOCAL_REPLICA) {
        sum.count[EFFECT_DONE] = local_attack_done(local, faulty.id);
    }
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        bool is_faulty = faulty.kind == LOCAL_REPLICA && r == faulty.id;
        json_t *report = is_faulty ? NULL : local_status(local, (uint16_t)r);
        if (report != NULL) {
            add(&sum, report, faulty);
        }
        json_decref(report);
    }
    return sum;
}
