// SPDX-License-Identifier: Apache-2.0
//
// See status_json.h.
#include "status_json.h"

#include <jansson.h>
#include <string.h>

static void put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

// The ids whose bits are set.
static json_t *ids(uint32_t bits)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < 32; i++) {
        if ((bits >> i & 1u) != 0) {
            (void)json_array_append_new(list, json_integer((json_int_t)i));
        }
    }
    return list;
}

static void put_group(json_t *root, const struct tacit_status_report *report,
                      const struct tacit_status_fixed *fixed)
{
    json_t *members = json_array();
    json_t *memnodes = json_array();
    const uint32_t replicas = fixed->replicas;
    for (uint32_t r = 0; r < replicas; r++) {
        (void)json_array_append_new(members, json_integer((json_int_t)report->members[r]));
    }
    for (uint32_t m = 0; m < fixed->memnodes; m++) {
        (void)json_array_append_new(memnodes, json_integer((json_int_t)report->memnode_members[m]));
    }
    (void)json_object_set_new(root, "members", members);
    (void)json_object_set_new(root, "memnode_members", memnodes);
    (void)json_object_set_new(root, "seats_dead", ids(report->seats_dead));
    put(root, "epoch", report->epoch);
    (void)json_object_set_new(root, "confirmed", ids(report->confirmed));
    (void)json_object_set_new(root, "trusted", ids(report->trusted));
    (void)json_object_set_new(root, "up", ids(report->up));
    (void)json_object_set_new(root, "memnodes_up", ids(report->memnodes_up));
    (void)json_object_set_new(root, "waiting", ids(report->waiting));
}

static json_t *counters(const struct tacit_status_report *report)
{
    json_t *object = json_object();
#define PUT(name) put(object, #name, report->name)
    PUT(batches_proposed);
    PUT(batches_decided);
    PUT(requests_executed);
    PUT(requests_duplicate);
    PUT(elections_started);
    PUT(elections_won);
    PUT(elections_lost);
    PUT(steps_down);
    PUT(reads_leased);
    PUT(reads_ordered);
    PUT(lease_ns);
    PUT(lease_lapses);
    PUT(leases_waited);
    PUT(last_lease_wait_ns);
    PUT(entries_adopted);
    PUT(entries_noop);
    PUT(entries_copied);
    PUT(adopted_words);
    PUT(grants);
    PUT(revocations);
    PUT(grants_deferred);
    PUT(checkpoints_taken);
    PUT(state_transfers);
    PUT(state_pages_fetched);
    PUT(touches);
    PUT(head_reads);
    PUT(hints);
    PUT(replies);
    PUT(rings_lapped);
    PUT(malformed);
    PUT(unexpected);
    PUT(sessions_open);
#undef PUT
    return object;
}

// Views, paths and signatures of the Byzantine engine.
static json_t *byzantine(const struct tacit_status_report *report)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "entered", json_boolean(report->view_entered));
    (void)json_object_set_new(object, "condemned", ids(report->condemned));
#define PUT(name) put(object, #name, report->name)
    PUT(view);
    PUT(epoch);
    PUT(window_base);
    PUT(decided_fast);
    PUT(decided_slow);
    PUT(vouched);
    PUT(acked);
    PUT(certified);
    PUT(committed);
    PUT(seals);
    PUT(views_entered);
    PUT(newviews);
    PUT(forced);
    PUT(broadcasts);
    PUT(delivered_fast);
    PUT(delivered_slow);
    PUT(nudges);
    PUT(summaries);
    PUT(summaries_adopted);
    PUT(gaps);
    PUT(signatures_made);
    PUT(signatures_checked);
    PUT(signatures_bad);
    PUT(register_writes);
    PUT(register_reads);
    PUT(lacks);
    PUT(obligations);
    PUT(bodies_fetched);
    PUT(last_sealed_ns);
    PUT(last_entered_ns);
#undef PUT
    return object;
}

static const char *const names[2] = {"data", "background"}; // of planes

static json_t *planes(const struct tacit_status_report *report)
{
    json_t *object = json_object();
    for (int plane = 0; plane < 2; plane++) {
        json_t *inner = json_object();
        put(inner, "writes", report->fabric_writes[plane]);
        put(inner, "reads", report->fabric_reads[plane]);
        put(inner, "self_writes", report->fabric_self_writes[plane]);
        put(inner, "write_bytes", report->fabric_write_bytes[plane]);
        put(inner, "denied", report->fabric_denied[plane]);
        put(inner, "lost", report->fabric_lost[plane]);
        (void)json_object_set_new(object, names[plane], inner);
    }
    return object;
}

static json_t *detector(const struct tacit_published *published, uint32_t replicas)
{
    json_t *object = json_object();
    json_t *scores = json_array();
    for (uint32_t r = 0; r < replicas; r++) {
        json_t *score = r == published->report.self
                            ? json_null()
                            : json_integer((json_int_t)published->scores[r]);
        (void)json_array_append_new(scores, score);
    }
    (void)json_object_set_new(object, "scores", scores);
    put(object, "reads", published->detector.reads);
    put(object, "missed_beats", published->detector.missed);
    put(object, "suspicions", published->detector.suspicions);
    put(object, "false_suspicions", published->detector.false_suspicions);
    put(object, "deaths", published->detector.deaths);
    put(object, "time_outs", published->detector.time_outs);
    return object;
}

// What the device is, and what operations cost at it.
static json_t *rdma(const struct tacit_provider_status *fabric)
{
    const struct tacit_verbs_facts *facts = &fabric->facts;
    json_t *object = json_object();
    (void)json_object_set_new(object, "device", json_string(facts->device));
    (void)json_object_set_new(object, "interface", json_string(facts->interface));
    (void)json_object_set_new(object, "address", json_string(facts->address));
    (void)json_object_set_new(object, "gid", json_string(facts->gid));
    (void)json_object_set_new(object, "gid_type", json_string(facts->gid_type));
    (void)json_object_set_new(object, "permission", json_string(fabric->permission));
    put(object, "port", facts->port);
    put(object, "gid_index", facts->gid_index);
    put(object, "mtu_bytes", facts->mtu_bytes);
    put(object, "connections_broken", fabric->verbs.broken);
    put(object, "planes_cycled", fabric->verbs.planes_cycled);
    put(object, "planes_renewed", fabric->verbs.planes_renewed);
    for (int plane = 0; plane < 2; plane++) {
        const struct tacit_verbs_costs *costs = &fabric->verbs.costs[plane];
        json_t *inner = json_object();
        put(inner, "posts", costs->posts);
        put(inner, "inlined", costs->inlined);
        put(inner, "doorbells", costs->doorbells);
        put(inner, "completions", costs->completions);
        put(inner, "polls", costs->polls);
        (void)json_object_set_new(object, names[plane], inner);
    }
    return object;
}

static json_t *process(const struct tacit_status_fixed *fixed,
                       const struct tacit_published *published,
                       const struct tacit_shm_counters *connections, tacit_time_ns_t now_ns)
{
    json_t *object = json_object();
    put(object, "pid", (uint64_t)fixed->pid);
    put(object, "uptime_ms", (now_ns - fixed->started_ns) / 1000000u);
    put(object, "report_age_us",
        now_ns > published->published_ns ? (now_ns - published->published_ns) / 1000u : 0);
    put(object, "turns", published->turns);
    put(object, "sleeps", published->sleeps);
    put(object, "rung", published->rung);
    put(object, "memory_bytes", published->report.memory_bytes);
    put(object, "connections_accepted", connections->accepted);
    put(object, "connections_made", connections->connected);
    put(object, "connections_refused", connections->refused);
    put(object, "peers_misbehaved", connections->misbehaved);
    put(object, "handshakes_expired", connections->expired);
    put(object, "deaths_noticed", connections->deaths);
    return object;
}

size_t tacit_status_json(char out[TACIT_STATUS_JSON_BYTES], const struct tacit_status_fixed *fixed,
                         const struct tacit_published *published,
                         const struct tacit_provider_status *fabric, tacit_time_ns_t now_ns)
{
    const struct tacit_status_report *report = &published->report;
    char group[2 * sizeof fixed->group.bytes + 1];
    json_t *root = json_object();
    tacit_hex_encode(group, sizeof group, fixed->group.bytes, sizeof fixed->group.bytes);
    (void)json_object_set_new(root, "node", json_string(fixed->node));
    (void)json_object_set_new(root, "app", json_string(fixed->app));
    (void)json_object_set_new(root, "group", json_string(group));
    put(root, "id", report->self);
    put(root, "incarnation", report->incarnation);
    (void)json_object_set_new(root, "first_member", json_boolean(fixed->first_member));
    (void)json_object_set_new(root, "role", json_string(tacit_role_name(report->role)));
    (void)json_object_set_new(
        root, "leader",
        report->leader == TACIT_NODE_NONE ? json_null() : json_integer((json_int_t)report->leader));
    (void)json_object_set_new(root, "mode", json_string(report->byzantine ? "byzantine" : "crash"));
    put(root, "replicas", fixed->replicas);
    put(root, "memnodes", fixed->memnodes);
    put(root, "ballot", report->ballot);
    put(root, "commit", report->commit);
    put(root, "applied", report->applied);
    put_group(root, report, fixed);
    json_t *election = json_object();
    put(election, "detect_to_ask_ns", report->last_detect_to_ask_ns);
    put(election, "permission_ns", report->last_permission_ns);
    put(election, "recovery_ns", report->last_recovery_ns);
    put(election, "led_at_ns", report->last_led_ns);
    (void)json_object_set_new(root, "last_election", election);
    (void)json_object_set_new(root, "counters", counters(report));
    if (report->byzantine) {
        (void)json_object_set_new(root, "byzantine", byzantine(report));
    }
    (void)json_object_set_new(root, "fabric", planes(report));
    if (fabric->is_rdma) {
        (void)json_object_set_new(root, "rdma", rdma(fabric));
    }
    (void)json_object_set_new(root, "detector", detector(published, fixed->replicas));
    (void)json_object_set_new(root, "process",
                              process(fixed, published, &fabric->connections, now_ns));
    size_t length = json_dumpb(root, out, TACIT_STATUS_JSON_BYTES - 1, JSON_COMPACT);
    json_decref(root);
    if (length == 0 || length >= TACIT_STATUS_JSON_BYTES) {
        return 0;
    }
    out[length] = '\n';
    return length + 1;
}
