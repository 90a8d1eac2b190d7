// SPDX-License-Identifier: Apache-2.0
//
// Reads under the leader's lease, in real processes. They cost no operation of the fabric beside
// their replies; a leader that was stopped answers nothing from its old state when it goes on,
// although the question waited in its memory, neither where its lease ran out while its silence was
// being noticed nor where memory nodes, which do not watch it, wait for all of it; whoever is dead
// for certain is not waited for. (That reads are linearizable under faults, the tests of crashes
// judge: their clients read this way.)
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "e2e.h"
#include "kv/kv_wire.h"
#include "tacit/client.h"

#define CALL_NS E2E_READY_NS
#define READS 2000u
#define BYTES 512u

// Several times as long as it takes until a stopped leader is suspected: without the wait, the next
// one would serve while the lease runs.
#define LONG_LEASE "250ms"
#define LONG_LEASE_NS UINT64_C(250000000)
#define WAITS 3u // that have to be seen
#define ROUNDS_MAX 20u

static const struct local_plan plan = {
    .replicas = 3, .waiting = TACIT_CONFIG_ADAPTIVE, .arena_bytes = 32u << 20};
static const struct local_plan on_memnodes = {.replicas = 2,
                                              .memnodes = 3,
                                              .log_on = TACIT_CONFIG_LOG_ON_MEMNODES,
                                              .waiting = TACIT_CONFIG_ADAPTIVE,
                                              .arena_bytes = 32u << 20};

struct user {
    struct tacit_channel *channel;
    uint32_t session;
};

static struct user open_user(const struct local *local, unsigned number)
{
    struct user user = {0};
    struct tacit_error error;
    char path[TACIT_CONFIG_PATH_BYTES];
    local_path(local, path, "client-%u.yaml", LOCAL_LOAD_CLIENT + number);
    struct tacit_channel_options options = {.node_path = path};
    assert_int_equal(tacit_channel_open(&options, &user.channel, &error), TACIT_OK);
    assert_int_equal(tacit_channel_connect(user.channel, CALL_NS, &user.session, &error), TACIT_OK);
    return user;
}

static size_t encode(uint8_t *request, enum tacit_kv_command command, const char *value)
{
    struct tacit_kv_span spans[2] = {
        {.bytes = (const uint8_t *)"key", .size = 3},
        {.bytes = (const uint8_t *)value, .size = value == NULL ? 0 : (uint32_t)strlen(value)}};
    size_t size = tacit_kv_request_encode(request, BYTES, command, spans, value == NULL ? 1 : 2);
    assert_true(size > 0);
    return size;
}

static void put(struct user *user, const char *value)
{
    uint8_t request[BYTES], answer[BYTES];
    struct tacit_channel_reply reply = {.bytes = answer, .max = sizeof answer};
    assert_int_equal(tacit_channel_call(user->channel, user->session, request,
                                        encode(request, TACIT_KV_SET, value), CALL_NS, &reply),
                     TACIT_OK);
}

static void check_value(const uint8_t *body, size_t bytes, const char *value)
{
    struct tacit_kv_reply reply;
    assert_int_equal(tacit_kv_reply_decode(&reply, body, bytes), TACIT_VERDICT_OK);
    assert_int_equal(reply.kind, TACIT_KV_REPLY_BULK);
    if (reply.text.size != strlen(value) || memcmp(reply.text.bytes, value, strlen(value)) != 0) {
        fail_msg("read %.*s, which is older than %s", (int)reply.text.size,
                 (const char *)reply.text.bytes, value);
    }
}

static void get(struct user *user, const char *value)
{
    uint8_t request[BYTES], answer[BYTES];
    struct tacit_channel_reply reply = {.bytes = answer, .max = sizeof answer};
    assert_int_equal(tacit_channel_call_read(user->channel, user->session, request,
                                             encode(request, TACIT_KV_GET, NULL), CALL_NS, &reply),
                     TACIT_OK);
    check_value(answer, reply.size, value);
}

// What the leader had posted at one moment.
struct posted {
    uint64_t replies, batches, leased, ordered, writes, reads, background;
};

static struct posted posted_by(const struct local *local, uint16_t leader)
{
    json_t *report = local_status(local, leader);
    assert_non_null(report);
    const json_t *fabric = json_object_get(report, "fabric");
    struct posted posted = {.replies = local_number(report, "counters", "replies"),
                            .batches = local_number(report, "counters", "batches_proposed"),
                            .leased = local_number(report, "counters", "reads_leased"),
                            .ordered = local_number(report, "counters", "reads_ordered"),
                            .writes = local_number(fabric, "data", "writes"),
                            .reads = local_number(fabric, "data", "reads"),
                            .background = local_number(fabric, "background", "writes")};
    json_decref(report);
    return posted;
}

// What it has posted once that is at rest: the commit word of the last batch goes out when a leader
// becomes idle, and on a busy machine a report may be older than that. The renewals in it show that
// it is a newer one.
static struct posted posted_at_rest(const struct local *local, uint16_t leader)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    struct posted first = posted_by(local, leader);
    for (;;) {
        cli_sleep_ns(50000000);
        struct posted next = posted_by(local, leader);
        if (next.background != first.background && next.writes == first.writes) {
            return next;
        }
        assert_true(cli_now_ns() < end_ns);
        first = next;
    }
}

// Each read under the lease is a reply and nothing else; the few that found no lease are batches.
static void test_costs(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct user user = open_user(local, 0);
    put(&user, "1");
    get(&user, "1");
    int leader = local_leader(local);
    assert_true(leader >= 0);
    struct posted before = posted_at_rest(local, (uint16_t)leader);
    uint64_t from_ns = cli_now_ns();
    for (uint32_t i = 0; i < READS; i++) {
        get(&user, "1");
    }
    struct posted after = posted_at_rest(local, (uint16_t)leader);
    uint64_t ms = (cli_now_ns() - from_ns) / 1000000;
    assert_int_equal(local_leader(local), leader);
    uint64_t leased = after.leased - before.leased;
    uint64_t replies = after.replies - before.replies;
    uint64_t batches = after.batches - before.batches;
    uint64_t background = after.background - before.background;
    print_message("%u reads: %llu under the lease, %llu batches; in %llu ms %llu writes of the "
                  "background plane\n",
                  READS, (unsigned long long)leased, (unsigned long long)batches,
                  (unsigned long long)ms, (unsigned long long)background);
    assert_true(leased >= READS * 9 / 10);
    assert_true(batches <= after.ordered - before.ordered);
    assert_int_equal(after.writes - before.writes, replies + 2 * batches);
    assert_int_equal(after.reads, before.reads);
    // Heads, touches and renewals go by the time, not by the number of reads.
    assert_true(background <= 12 * (ms + 20));
    tacit_channel_close(user.channel);
    e2e_cluster_end(local);
}

// Changes one line of the cluster file; `key` with its colon and blank.
static void set_time(const struct local *local, const char *key, const char *value)
{
    char path[TACIT_CONFIG_PATH_BYTES];
    char text[16384];
    local_path(local, path, "cluster.yaml");
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    char *at = strstr(text, key);
    assert_non_null(at);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%.*s%s%s%s", (int)(at - text), text, key, value, at + strcspn(at, "\n"));
    assert_int_equal(fclose(file), 0);
}

// Clients that wait long before they ask somebody else.
static void make_patient(const struct local *local)
{
    set_time(local, "client_retry: ", "1s");
}

// Both clients know who leads.
static void begin_round(struct user *reader, struct user *writer, unsigned round, char value[16])
{
    (void)snprintf(value, 16, "%u", 2 * round);
    put(writer, value);
    get(reader, value);
}

// A question for the stopped leader, asked after a new leader has changed the answer. Returns who
// was stopped, and from when on.
static uint16_t ask_stopped(struct local *local, struct user *reader, struct user *writer,
                            unsigned round, uint64_t *stopped_ns)
{
    uint8_t request[BYTES];
    char value[16];
    struct tacit_channel_event event;
    struct tacit_error error;
    uint32_t all = (1u << local->config.replica_count) - 1;
    uint16_t stopped = e2e_hit_leader(local, SIGSTOP);
    while (!local_is_stopped(local, e2e_replica(stopped))) {
        cli_sleep_ns(0);
    }
    *stopped_ns = cli_now_ns();
    (void)snprintf(value, sizeof value, "%u", 2 * round + 1);
    put(writer, value); // the new leader's
    assert_int_equal(tacit_channel_read(reader->channel, reader->session, request,
                                        encode(request, TACIT_KV_GET, NULL), 1),
                     TACIT_OK);
    // It lies in the stopped one's memory, and whatever that one makes of it is the first answer:
    // the reader, which looks at nothing meanwhile, does not know yet who else leads.
    assert_int_equal(local_signal(local, e2e_replica(stopped), SIGCONT, &error), TACIT_OK);
    assert_true(local_wait_members(local, all, E2E_READY_NS));
    assert_true(tacit_channel_wait(reader->channel, CALL_NS, &event));
    assert_int_equal(event.kind, TACIT_CHANNEL_RESULT);
    assert_int_equal(event.status, TACIT_OK);
    check_value(event.body, event.body_bytes, value);
    return stopped;
}

static void test_stopped_leader(void **state)
{
    (void)state;
    struct local *local = e2e_make(&plan, false);
    make_patient(local);
    e2e_start(local);
    struct user reader = open_user(local, 0);
    struct user writer = open_user(local, 1);
    for (unsigned round = 0; round < 6; round++) {
        char value[16];
        uint64_t stopped_ns;
        begin_round(&reader, &writer, round, value);
        uint16_t stopped = ask_stopped(local, &reader, &writer, round, &stopped_ns);
        print_message("replica %u was stopped: %llu reads under leases\n", stopped,
                      (unsigned long long)e2e_number(local, stopped, "counters", "reads_leased"));
    }
    tacit_channel_close(reader.channel);
    tacit_channel_close(writer.channel);
    e2e_cluster_end(local);
}

// What a replica says of its elections and leases.
struct reign {
    bool leads, follows;
    uint64_t started, won, leased, asked_ns, permission_ns;
};

static struct reign reign_of(const struct local *local, uint16_t replica)
{
    json_t *report = local_status(local, replica);
    assert_non_null(report);
    const char *role = json_string_value(json_object_get(report, "role"));
    uint64_t led_ns = local_number(report, "last_election", "led_at_ns");
    uint64_t recovery_ns = local_number(report, "last_election", "recovery_ns");
    struct reign reign = {.leads = strcmp(role, "leader") == 0,
                          .follows = strcmp(role, "follower") == 0,
                          .started = local_number(report, "counters", "elections_started"),
                          .won = local_number(report, "counters", "elections_won"),
                          .leased = local_number(report, "counters", "reads_leased"),
                          .permission_ns = local_number(report, "last_election", "permission_ns")};
    reign.asked_ns = led_ns - recovery_ns - reign.permission_ns;
    json_decref(report);
    return reign;
}

// Waits until one of the two leads and has answered a read under its lease in this term, and the
// other one does not ask. Returns who leads; `follower`: what the other one said then.
static uint16_t wait_settled(const struct local *local, struct user *reader, const char *value,
                             struct reign *follower)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    for (;;) {
        struct reign before[2] = {reign_of(local, 0), reign_of(local, 1)};
        get(reader, value);
        for (uint16_t r = 0; r < 2; r++) {
            struct reign now = reign_of(local, r);
            *follower = reign_of(local, 1 - r);
            if (before[r].leads && now.leads && now.won == before[r].won &&
                now.leased > before[r].leased && follower->follows) {
                return r;
            }
        }
        assert_true(cli_now_ns() < end_ns);
        cli_sleep_ns(1000000);
    }
}

// Memory nodes do not watch the holder's lease, so that they wait for all of it. They have no
// report; but a majority of them made the next leader wait for its permission. Not each round shows
// that: on a busy machine the follower may ask before the stop, or twice.
static void test_memnodes_wait(void **state)
{
    (void)state;
    struct local *local = e2e_make(&on_memnodes, false);
    make_patient(local);
    set_time(local, "lease: ", LONG_LEASE);
    e2e_start(local);
    struct user reader = open_user(local, 0);
    struct user writer = open_user(local, 1);
    unsigned waits = 0;
    for (unsigned round = 0; waits < WAITS; round++) {
        char value[16];
        struct reign before;
        uint64_t stopped_ns;
        assert_true(round < ROUNDS_MAX);
        begin_round(&reader, &writer, round, value);
        uint16_t leader = wait_settled(local, &reader, value, &before);
        uint16_t stopped = ask_stopped(local, &reader, &writer, round, &stopped_ns);
        struct reign next = reign_of(local, 1 - stopped);
        bool shows = stopped == leader && next.started == before.started + 1 &&
                     next.won == before.won + 1 && next.asked_ns > stopped_ns;
        print_message("replica %u was stopped: the other one waited %.1f ms for permission%s\n",
                      stopped, (double)next.permission_ns / 1e6, shows ? "" : " (shows nothing)");
        if (shows) {
            assert_true(next.permission_ns > LONG_LEASE_NS);
            waits++;
        }
    }
    tacit_channel_close(reader.channel);
    tacit_channel_close(writer.channel);
    e2e_cluster_end(local);
}

// The kernel says that it is gone: its lease is void at once.
static void test_killed_leader(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct user user = open_user(local, 0);
    for (unsigned round = 0; round < 4; round++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%u", round);
        put(&user, value);
        get(&user, value);
        uint16_t victim = e2e_hit_leader(local, SIGKILL);
        get(&user, value);
        uint64_t waited = 0;
        for (uint16_t r = 0; r < 3; r++) {
            waited += r == victim ? 0 : e2e_number(local, r, "counters", "leases_waited");
        }
        assert_int_equal(waited, 0);
        e2e_bring_back(local, victim);
    }
    tacit_channel_close(user.channel);
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs), cmocka_unit_test(test_stopped_leader),
        cmocka_unit_test(test_memnodes_wait), cmocka_unit_test(test_killed_leader)};
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
