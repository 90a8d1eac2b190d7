// SPDX-License-Identifier: Apache-2.0
//
// Asking the replicas of a local cluster how they are.
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/node.h"
#include "../lib/status_json.h"
#include "cli.h"
#include "local.h"

#define LOOK_NS 1000000u
#define FAST_SLOTS 8u
#define ANSWER_S 1 // a stopped replica answers never

// The report on the status socket of a replica or spare replica.
static json_t *report_of(const struct local *local, enum tacit_config_role role, uint16_t id)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (tacit_node_status_path(&local->config, role, id, path, NULL) != TACIT_OK) {
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return NULL;
    }
    struct timeval limit = {.tv_sec = ANSWER_S};
    (void)setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    char *text = malloc(TACIT_STATUS_JSON_BYTES);
    size_t used = 0;
    if (text != NULL &&
        connect(connection, (const struct sockaddr *)&address, sizeof address) == 0) {
        ssize_t got = 1;
        while (used < TACIT_STATUS_JSON_BYTES && got > 0) {
            got = recv(connection, text + used, TACIT_STATUS_JSON_BYTES - used, 0);
            used += got > 0 ? (size_t)got : 0;
        }
    }
    (void)close(connection);
    json_t *report = used == 0 ? NULL : json_loadb(text, used, 0, NULL);
    free(text);
    return report;
}

static json_t *sitter_of(const struct local *local, uint16_t replica, struct local_node *node)
{
    json_t *best = report_of(local, TACIT_CONFIG_REPLICA, replica);
    *node = (struct local_node){LOCAL_REPLICA, replica};
    for (uint16_t spare = 1; spare <= local->config.spare_replica_count; spare++) {
        json_t *report = report_of(local, TACIT_CONFIG_SPARE_REPLICA, spare);
        bool sits = report != NULL && local_number(report, NULL, "id") == replica;
        if (sits && (best == NULL || local_number(report, NULL, "incarnation") >
                                         local_number(best, NULL, "incarnation"))) {
            json_decref(best);
            best = json_incref(report);
            *node = (struct local_node){LOCAL_SPARE_REPLICA, spare};
        }
        json_decref(report);
    }
    return best;
}

json_t *local_status(const struct local *local, uint16_t replica)
{
    struct local_node node;
    return sitter_of(local, replica, &node);
}

struct local_node local_sitter(const struct local *local, uint16_t replica)
{
    struct local_node node;
    json_decref(sitter_of(local, replica, &node));
    return node;
}

uint64_t local_number(const json_t *report, const char *section, const char *key)
{
    const json_t *object = section == NULL ? report : json_object_get(report, section);
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool leads(const json_t *report)
{
    const char *role = json_string_value(json_object_get(report, "role"));
    return role != NULL && strcmp(role, "leader") == 0;
}

static struct local_node replica_node(uint32_t id)
{
    return (struct local_node){LOCAL_REPLICA, (uint16_t)id};
}

// Nobody has to be asked if the founder does not run and no spare could have its seat.
static bool may_answer(const struct local *local, uint32_t replica)
{
    return local->config.spare_replica_count != 0 || local_pid(local, replica_node(replica)) != 0;
}

// What a later leader has more of.
static uint64_t term_of(const json_t *report)
{
    return local_number(report, NULL, "ballot") + local_number(report, "byzantine", "view");
}

// The liar whom this replica follows; -1: none.
static int led_by_liar(const json_t *report, uint32_t liars)
{
    uint64_t leader = local_number(report, NULL, "leader");
    const json_t *entered = json_object_get(json_object_get(report, "byzantine"), "entered");
    bool known = json_is_integer(json_object_get(report, "leader")) && json_is_true(entered);
    return known && leader < 32 && (liars >> leader & 1u) != 0 ? (int)leader : -1;
}

// Several may believe that they lead, of which all but one are mistaken: the largest ballot or view
// leads.
static int find_leader(const struct local *local, json_t **report)
{
    int leader = -1;
    uint64_t ballot = 0;
    uint32_t liars = local_liars(local);
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *own = (liars >> r & 1u) == 0 && may_answer(local, r)
                          ? local_status(local, (uint16_t)r)
                          : NULL;
        int led_by = own == NULL ? -1 : leads(own) ? (int)r : led_by_liar(own, liars);
        if (led_by >= 0 && (leader < 0 || term_of(own) > ballot)) {
            ballot = term_of(own);
            leader = led_by;
            if (report != NULL) {
                json_decref(*report);
                *report = json_incref(own);
            }
        }
        json_decref(own);
    }
    return leader;
}

int local_leader(const struct local *local)
{
    return find_leader(local, NULL);
}

int local_wait_leader(const struct local *local, int not_this, uint64_t timeout_ns)
{
    uint64_t end_ns = cli_now_ns() + timeout_ns;
    while (cli_now_ns() < end_ns) {
        int leader = local_leader(local);
        if (leader >= 0 && leader != not_this) {
            return leader;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return -1;
}

uint32_t local_members(const struct local *local)
{
    json_t *leader = NULL;
    uint32_t members = 0;
    if (find_leader(local, &leader) < 0) {
        return 0;
    }
    const json_t *known = json_object_get(leader, "members");
    const json_t *up = json_object_get(leader, "up");
    uint32_t connected = 0;
    for (size_t i = 0; i < json_array_size(up); i++) {
        connected |= 1u << (json_integer_value(json_array_get(up, i)) & 31);
    }
    for (uint32_t r = 0; r < local->config.replica_count; r++) {
        json_t *own = may_answer(local, r) ? local_status(local, (uint16_t)r) : NULL;
        const char *role = json_string_value(json_object_get(own, "role"));
        uint64_t admitted = (uint64_t)json_integer_value(json_array_get(known, r));
        if (own != NULL && role != NULL && (connected >> r & 1u) != 0 &&
            strcmp(role, "joining") != 0 && local_number(own, NULL, "incarnation") == admitted) {
            members |= 1u << r;
        }
        json_decref(own);
    }
    json_decref(leader);
    return members;
}

static uint32_t mask_of(const json_t *list)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        mask |= 1u << (json_integer_value(json_array_get(list, i)) & 31);
    }
    return mask;
}

uint32_t local_counted_hosts(const struct local *local)
{
    json_t *leader = NULL;
    (void)find_leader(local, &leader);
    uint32_t hosts = leader == NULL ? 0 : mask_of(json_object_get(leader, "confirmed"));
    json_decref(leader);
    return hosts;
}

uint32_t local_counted_memnodes(const struct local *local)
{
    uint32_t liars = local_liars(local);
    uint32_t counted = UINT32_MAX;
    bool any = false;
    for (uint16_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = (liars >> r & 1u) != 0 ? NULL : local_status(local, r);
        const char *role = json_string_value(json_object_get(report, "role"));
        if (role != NULL && strcmp(role, "joining") != 0) {
            counted &= mask_of(json_object_get(report, "memnodes_up"));
            any = true;
        }
        json_decref(report);
    }
    return any ? counted : 0;
}

bool local_wait_members(const struct local *local, uint32_t wanted, uint64_t timeout_ns)
{
    uint64_t end_ns = cli_now_ns() + timeout_ns;
    while ((local_members(local) & wanted) != wanted) {
        if (cli_now_ns() > end_ns) {
            return false;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return true;
}

uint64_t local_wait_fast(const struct local *local, uint64_t timeout_ns)
{
    uint64_t start_ns = cli_now_ns();
    uint64_t fast = 0;
    uint64_t slow = UINT64_MAX;
    uint64_t looked_ns = start_ns;
    while (cli_now_ns() < start_ns + timeout_ns) {
        int leader = local_leader(local);
        json_t *report = leader < 0 ? NULL : local_status(local, (uint16_t)leader);
        uint64_t now_fast = local_number(report, "byzantine", "decided_fast");
        uint64_t now_slow = local_number(report, "byzantine", "decided_slow");
        json_decref(report);
        if (now_slow != slow || now_fast < fast) {
            fast = now_fast; // begin to count
            slow = now_slow;
            looked_ns = cli_now_ns();
        } else if (now_fast >= fast + FAST_SLOTS) {
            return looked_ns > start_ns ? looked_ns - start_ns : 1;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return 0;
}
