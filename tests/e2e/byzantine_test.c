// SPDX-License-Identifier: Apache-2.0
//
// A Byzantine group in real processes: leaders that die or stop, slow followers, memory nodes that
// die while the signed slow path needs them; and what a batch costs while nothing goes wrong: no
// signature and no memory node. Every client's history is checked. Never more than f replicas and
// fm memory nodes are faulty; who was restarted counts as faulty until it is readmitted.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "e2e.h"

#define LOOK_NS 5000000u
#define SLOTS 2000u     // of a window in which nothing goes wrong
#define WINDOWS_MAX 20u // until there is one
#define FAST_SLOTS 200u // decided without a signature in a row: back to normal
#define RESTED_NS 300000000u
#define SERVER_S 20

static const struct local_plan plan = {.replicas = 3,
                                       .memnodes = 3,
                                       .mode = TACIT_CONFIG_BYZANTINE,
                                       .waiting = TACIT_CONFIG_ADAPTIVE,
                                       .arena_bytes = 32u << 20};

// The same, with broadcasts on the memory nodes.
static const struct local_plan shared_plan = {.replicas = 3,
                                              .memnodes = 3,
                                              .mode = TACIT_CONFIG_BYZANTINE,
                                              .broadcast_on = TACIT_CONFIG_BROADCAST_ON_MEMNODES,
                                              .waiting = TACIT_CONFIG_ADAPTIVE,
                                              .arena_bytes = 32u << 20};

// ---- what replicas count -----------------------------------------------------------------------

// Of all replicas together that answer; the views are those of the last one.
struct count {
    uint64_t fast, slow, ids;
    uint64_t made, checked, bad;
    uint64_t registers;    // written and read
    uint64_t data_reads;   // on the data plane
    uint64_t unsteady;     // what happens when something goes wrong
    uint64_t misbehaviour; // what nobody does here
    uint64_t executed;
};

static uint64_t engine(const json_t *report, const char *key)
{
    const json_t *part = json_object_get(report, "byzantine");
    assert_non_null(part);
    assert_non_null(json_object_get(part, key)); // no misspelt name
    return local_number(part, NULL, key);
}

static struct count count_all(const struct local *local)
{
    static const char *const unsteady[] = {"delivered_slow", "decided_slow", "certified",
                                           "seals",          "nudges",       "summaries_adopted",
                                           "gaps",           "lacks",        "obligations"};
    struct count count = {0};
    for (uint16_t r = 0; r < local->config.replica_count; r++) {
        json_t *report = local_status(local, r);
        assert_non_null(report);
        const json_t *data = json_object_get(json_object_get(report, "fabric"), "data");
        count.fast += engine(report, "decided_fast");
        count.slow += engine(report, "decided_slow");
        count.ids += engine(report, "broadcasts");
        count.made += engine(report, "signatures_made");
        count.checked += engine(report, "signatures_checked");
        count.bad += engine(report, "signatures_bad");
        count.registers += engine(report, "register_writes") + engine(report, "register_reads");
        count.data_reads += local_number(data, NULL, "reads");
        count.executed += local_number(report, "counters", "requests_executed");
        count.misbehaviour +=
            json_array_size(json_object_get(json_object_get(report, "byzantine"), "condemned"));
        count.misbehaviour += local_number(report, "counters", "malformed");
        for (size_t i = 0; i < sizeof unsteady / sizeof unsteady[0]; i++) {
            count.unsteady += engine(report, unsteady[i]);
        }
        json_decref(report);
    }
    return count;
}

static uint64_t of_replica(const struct local *local, uint16_t replica, const char *key)
{
    return e2e_number(local, replica, "byzantine", key);
}

// Until a replica's counter is above a value.
static void wait_above(const struct local *local, uint16_t replica, const char *key, uint64_t value)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    while (of_replica(local, replica, key) <= value) {
        if (cli_now_ns() > end_ns) {
            fail_msg("replica %u: %s is not above %llu", replica, key, (unsigned long long)value);
        }
        cli_sleep_ns(LOOK_NS);
    }
}

// Until all replicas decide by the fast path again: many slots in a row, nobody by certificates.
static void wait_fast(const struct local *local)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    for (;;) {
        struct count before = count_all(local);
        struct count now = before;
        while (now.slow == before.slow && now.fast < before.fast + 3 * FAST_SLOTS) {
            if (cli_now_ns() > end_ns) {
                fail_msg("no %u slots in a row are decided by the fast path", FAST_SLOTS);
            }
            cli_sleep_ns(LOOK_NS);
            now = count_all(local);
        }
        if (now.slow == before.slow) {
            return;
        }
    }
}

static uint16_t follower_of(const struct local *local)
{
    int leader = local_wait_leader(local, -1, E2E_READY_NS);
    assert_true(leader >= 0);
    return (uint16_t)((leader + 1) % (int)local->config.replica_count);
}

static void hit(const struct local *local, struct local_node node, int signal_number)
{
    struct tacit_error error = {.text = ""};
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    enum tacit_status status = local_may_lose(local, node, &error);
    while (status != TACIT_OK && cli_now_ns() < end_ns) { // a view change may be under way
        cli_sleep_ns(2000000);
        status = local_may_lose(local, node, &error);
    }
    if (status != TACIT_OK) {
        fail_msg("beyond the fault model: %s", error.text);
    }
    assert_int_equal(local_signal(local, node, signal_number, &error), TACIT_OK);
}

static struct local_node memnode(uint16_t id)
{
    return (struct local_node){LOCAL_MEMNODE, id};
}

// ---- faults ------------------------------------------------------------------------------------

static void print_outage(const struct local *local, const struct load *load, uint64_t fault_ns,
                         int successor)
{
    struct load_outage outage = load_outage(load, fault_ns, cli_now_ns());
    uint64_t sealed_ns = of_replica(local, (uint16_t)successor, "last_sealed_ns");
    uint64_t entered_ns = of_replica(local, (uint16_t)successor, "last_entered_ns");
    print_message("replica %d leads view %llu: view left after %lld us, entered after %lld us, "
                  "first answer after %llu us\n",
                  successor, (unsigned long long)of_replica(local, (uint16_t)successor, "view"),
                  (long long)(sealed_ns - fault_ns) / 1000,
                  (long long)(entered_ns - fault_ns) / 1000,
                  (unsigned long long)outage.silence_ns / 1000);
}

// The leader dies under load; the others go on by the slow path. Started again, without its memory,
// it is a new incarnation, which an epoch takes in; then the fast path is back.
static void test_kill_leader(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    struct tacit_error error;
    e2e_progress(load, 300);
    uint64_t fault_ns = cli_now_ns();
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    e2e_progress(load, 300);
    int successor = local_wait_leader(local, victim, E2E_READY_NS);
    assert_true(successor >= 0);
    print_outage(local, load, fault_ns, successor);
    wait_above(local, (uint16_t)successor, "decided_slow", 0);

    assert_true(local_wait_gone(local, e2e_replica(victim), E2E_READY_NS));
    assert_int_equal(local_start(local, e2e_replica(victim), &error), TACIT_OK);
    e2e_progress(load, 1000);
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    wait_fast(local); // which needs all replicas
    json_t *report = local_status(local, victim);
    assert_non_null(report);
    assert_int_equal(local_number(report, NULL, "incarnation"), 2);
    assert_string_not_equal(json_string_value(json_object_get(report, "role")), "joining");
    json_decref(report);
    assert_true(local_may_fail(local));
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// A leader that stops is left; when it goes on it follows, and the fast path comes back with it.
static void test_stop_and_continue_leader(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    uint64_t fault_ns = cli_now_ns();
    uint16_t victim = e2e_hit_leader(local, SIGSTOP);
    e2e_progress(load, 300);
    int successor = local_wait_leader(local, victim, E2E_READY_NS);
    assert_true(successor >= 0);
    print_outage(local, load, fault_ns, successor);
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    uint64_t back_ns = cli_now_ns();
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    wait_fast(local);
    print_message("back on the fast path %llu us after SIGCONT, %u slots included\n",
                  (unsigned long long)(cli_now_ns() - back_ns) / 1000, FAST_SLOTS);
    assert_int_equal(count_all(local).misbehaviour, 0); // slow is no lie
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// A follower stops: the slow path serves, also when a memory node dies under it. Then the follower
// is back, and with it the fast path.
static void test_stop_follower_and_kill_memnode(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    uint16_t victim = follower_of(local);
    hit(local, e2e_replica(victim), SIGSTOP);
    uint64_t stopped_ns = cli_now_ns();
    e2e_progress(load, 300);
    int leader = local_wait_leader(local, victim, E2E_READY_NS);
    assert_true(leader >= 0);
    struct load_outage outage = load_outage(load, stopped_ns, cli_now_ns());
    print_message("follower stopped: clients waited %llu us at most\n",
                  (unsigned long long)outage.longest_wait_ns / 1000);
    uint64_t slow = of_replica(local, (uint16_t)leader, "decided_slow");
    uint64_t read = of_replica(local, (uint16_t)leader, "register_reads");
    assert_true(slow > 0);
    uint64_t killed_ns = cli_now_ns();
    hit(local, memnode(1), SIGKILL);
    e2e_progress(load, 300);
    outage = load_outage(load, killed_ns, cli_now_ns());
    print_message("slow path, memory node killed: clients waited %llu us at most\n",
                  (unsigned long long)outage.longest_wait_ns / 1000);
    wait_above(local, (uint16_t)leader, "decided_slow", slow);
    wait_above(local, (uint16_t)leader, "register_reads", read); // from the two that are left
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    uint64_t back_ns = cli_now_ns();
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    wait_fast(local);
    print_message("back on the fast path %llu us after SIGCONT, %u slots included\n",
                  (unsigned long long)(cli_now_ns() - back_ns) / 1000, FAST_SLOTS);
    e2e_progress(load, 300);
    assert_int_equal(count_all(local).misbehaviour, 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// ---- memory nodes -----------------------------------------------------------------------------

// Until exactly these memory nodes count, for every replica that answers.
static void wait_counted(const struct local *local, uint32_t wanted)
{
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS;
    uint32_t counted;
    while ((counted = local_counted_memnodes(local)) != wanted) {
        if (cli_now_ns() > end_ns) {
            fail_msg("memory nodes %x count, not %x", counted, wanted);
        }
        cli_sleep_ns(LOOK_NS);
    }
}

// Without its memory it counts for nothing, until an epoch takes it in as another one.
static void replace_memnode(struct local *local, uint16_t id)
{
    struct tacit_error error;
    uint64_t epoch = of_replica(local, 0, "epoch");
    uint64_t begin_ns = cli_now_ns();
    assert_true(local_wait_gone(local, memnode(id), E2E_READY_NS));
    assert_int_equal(local_start(local, memnode(id), &error), TACIT_OK);
    wait_counted(local, 7);
    assert_true(of_replica(local, 0, "epoch") > epoch);
    print_message("memory node %u is replaced after %llu us\n", id,
                  (unsigned long long)(cli_now_ns() - begin_ns) / 1000);
}

// Broadcasts on the memory nodes: one dies in the middle of the traffic and is replaced; then
// another one dies, so that the new one is needed; and the leader.
static void test_broadcast_on_memnodes(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&shared_plan, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 1000);
    uint64_t killed_ns = cli_now_ns();
    hit(local, memnode(1), SIGKILL);
    e2e_progress(load, 1000);
    wait_counted(local, 5);
    struct load_outage outage = load_outage(load, killed_ns, cli_now_ns());
    print_message("memory node killed: clients waited %llu us at most\n",
                  (unsigned long long)outage.longest_wait_ns / 1000);
    assert_true(outage.longest_wait_ns < E2E_READY_NS / 10);
    replace_memnode(local, 1);
    e2e_progress(load, 300);
    hit(local, memnode(2), SIGKILL);
    e2e_progress(load, 300);
    replace_memnode(local, 2);
    uint16_t victim = e2e_hit_leader(local, SIGKILL);
    e2e_progress(load, 300);
    e2e_bring_back(local, victim);
    e2e_progress(load, 300);
    assert_int_equal(count_all(local).misbehaviour, 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// Memory nodes die one after the other, each one is replaced by an epoch before the next one dies;
// then the slow path works with the new ones alone.
static void test_replace_memnodes(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    struct tacit_error error;
    e2e_progress(load, 300);
    for (uint16_t m = 0; m < 2; m++) {
        hit(local, memnode(m), SIGKILL);
        wait_counted(local, 7u & ~(1u << m));
        assert_int_equal(local_may_lose(local, memnode(2), &error), TACIT_EBUSY);
        e2e_progress(load, 300);
        replace_memnode(local, m);
    }
    uint16_t victim = follower_of(local);
    uint16_t other = (uint16_t)((victim + 1) % 3);
    uint64_t read = of_replica(local, other, "register_reads");
    hit(local, e2e_replica(victim), SIGSTOP);
    hit(local, memnode(2), SIGKILL);
    e2e_progress(load, 300);
    wait_above(local, other, "register_reads", read);
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    e2e_progress(load, 300);
    assert_int_equal(count_all(local).misbehaviour, 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// What `tacit status` says of a cluster.
static void expect_status(const struct local *local, const char *wanted)
{
    char command[2 * TACIT_CONFIG_PATH_BYTES + 64];
    char text[16384];
    (void)snprintf(command, sizeof command, "'%s/tacit' status --dir '%s' 2>&1", local->programs,
                   local->directory);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t got = fread(text, 1, sizeof text - 1, pipe);
    (void)pclose(pipe);
    text[got] = '\0';
    if (strstr(text, wanted) == NULL) {
        fail_msg("tacit status does not say \"%s\": %s", wanted, text);
    }
}

// One replica stopped and two of three memory nodes dead is more than f and fm: service stops, says
// which quorum is missing, and nothing wrong is done: not by counting on memory nodes that came
// back empty, either. With the replica back the group needs no memory node and goes on by itself.
static void test_second_memnode_stops_slow_path(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    struct tacit_error error;
    e2e_progress(load, 300);
    uint16_t victim = follower_of(local);
    uint16_t other = (uint16_t)((victim + 1) % 3);
    hit(local, e2e_replica(victim), SIGSTOP);
    e2e_progress(load, 300);
    hit(local, memnode(0), SIGKILL);
    e2e_progress(load, 300);
    uint64_t before = of_replica(local, other, "decided_slow");
    assert_int_equal(local_signal(local, memnode(1), SIGKILL, &error), TACIT_OK);
    wait_counted(local, 4);
    cli_sleep_ns(RESTED_NS); // what was under way ends
    uint64_t answered = load_acknowledged(load);
    assert_true(of_replica(local, other, "decided_slow") >= before);
    expect_status(local, "QUORUM MISSING: 1 of 3 memory nodes count");
    for (uint16_t m = 0; m < 2; m++) {
        assert_true(local_wait_gone(local, memnode(m), E2E_READY_NS));
        assert_int_equal(local_start(local, memnode(m), &error), TACIT_OK);
    }
    cli_sleep_ns(3 * RESTED_NS);
    assert_int_equal(load_acknowledged(load), answered);
    assert_int_equal(local_counted_memnodes(local), 4);
    expect_status(local, "QUORUM MISSING: 1 of 3 memory nodes count");
    for (uint16_t r = 0; r < 3; r++) {
        assert_true(local_pid(local, e2e_replica(r)) != 0);
    }
    // All replicas: the fast path and the broadcasts need no register, so the group goes on, and an
    // epoch each takes the new memory nodes in.
    uint64_t epoch = of_replica(local, other, "epoch");
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    uint64_t back_ns = cli_now_ns();
    e2e_progress(load, 300);
    print_message("all replicas are back: 300 requests after %llu us\n",
                  (unsigned long long)(cli_now_ns() - back_ns) / 1000);
    wait_counted(local, 7);
    assert_true(of_replica(local, other, "epoch") >= epoch + 2);
    print_message("both memory nodes are replaced after %llu us\n",
                  (unsigned long long)(cli_now_ns() - back_ns) / 1000);
    expect_status(local, "memory nodes that count: 0 1 2");
    assert_true(local_wait_members(local, 7, E2E_READY_NS));
    e2e_progress(load, 300);
    assert_int_equal(count_all(local).misbehaviour, 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// ---- what a batch costs ------------------------------------------------------------------------

// Some thousands of slots. False: something went wrong meanwhile (the machine made somebody wait
// for longer than slow_after), so that it says nothing.
static bool watch(const struct local *local, const struct load *load)
{
    uint64_t n = local->config.replica_count;
    struct count before = count_all(local);
    struct count after;
    do {
        e2e_progress(load, SLOTS);
        after = count_all(local);
    } while (after.fast + after.slow < before.fast + before.slow + n * SLOTS);
    uint64_t slots = (after.fast - before.fast) / n;
    uint64_t ids = after.ids - before.ids;
    uint64_t made = after.made - before.made;
    uint64_t checked = after.checked - before.checked;
    if (after.unsteady != before.unsteady) {
        return false;
    }
    print_message("%llu slots, %llu ids: %llu signatures made, %llu checked\n",
                  (unsigned long long)slots, (unsigned long long)ids, (unsigned long long)made,
                  (unsigned long long)checked);
    assert_int_equal(after.registers, before.registers);
    assert_int_equal(after.data_reads, before.data_reads);
    assert_int_equal(after.bad, before.bad);
    // The background plane: summaries of streams and checkpoints, and one of each (and of each
    // stream) that was under way at the beginning or the end.
    uint64_t occasions = ids / (local->config.limits.tail / 2) +
                         slots / (local->config.limits.window / 2) + 2 * (n + 1);
    assert_true(made <= 2 * n * occasions);
    assert_true(checked <= 3 * n * occasions);
    assert_true(slots > 8 * occasions); // or the bound would say nothing about a slot
    return true;
}

static void test_steady(void **state)
{
    (void)state;
    struct local_plan patient = plan; // a wait for a processor is nobody's fault here
    patient.patience = 10;
    struct local *local = e2e_cluster(&patient, false);
    struct load *load = e2e_load(local);
    e2e_progress(load, 300);
    unsigned steady = 0;
    for (unsigned i = 0; i < WINDOWS_MAX && steady < 2; i++) {
        steady += watch(local, load);
    }
    assert_true(steady > 0);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// Memory nodes are passive: no processor time while requests are served, at all.
static uint64_t ticks_of(const struct local *local, struct local_node node)
{
    char path[64];
    char text[1024];
    unsigned long long user = 0;
    unsigned long long kernel = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)local_pid(local, node));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    const char *at = strrchr(text, ')');
    assert_non_null(at);
    assert_int_equal(
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel),
        2);
    return user + kernel;
}

static void test_passive_memnodes(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, false);
    struct load *load = e2e_load(local);
    uint16_t victim = follower_of(local);
    uint64_t before[TACIT_MEMNODES_MAX];
    for (uint16_t m = 0; m < local->config.memnode_count; m++) {
        before[m] = ticks_of(local, memnode(m));
    }
    hit(local, e2e_replica(victim), SIGSTOP); // registers are used now
    e2e_progress(load, 1000);
    for (uint16_t m = 0; m < local->config.memnode_count; m++) {
        assert_int_equal(ticks_of(local, memnode(m)), before[m]);
    }
    assert_int_equal(local_signal(local, e2e_replica(victim), SIGCONT, NULL), TACIT_OK);
    e2e_verdict(load);
    e2e_cluster_end(local);
}

// ---- the gateway -------------------------------------------------------------------------------

static int redis_connect(const struct local *local)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(local->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = SERVER_S};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(connection >= 0);
    (void)setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(connection, (const struct sockaddr *)&address, sizeof address), 0);
    return connection;
}

static void redis_expect(int connection, const char *command, const char *expected)
{
    char answer[256];
    size_t used = 0;
    assert_int_equal(send(connection, command, strlen(command), MSG_NOSIGNAL), strlen(command));
    while (used < strlen(expected)) {
        ssize_t got = recv(connection, answer + used, sizeof answer - 1 - used, 0);
        if (got <= 0) {
            fail_msg("no whole answer to %s", command);
        }
        used += (size_t)got;
    }
    answer[used] = '\0';
    assert_string_equal(answer, expected);
}

// Redis clients notice the death of the leader by a pause only: nothing is lost or done twice.
static void test_gateway(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, true);
    int connection = redis_connect(local);
    redis_expect(connection, "SET greeting hello\r\n", "+OK\r\n");
    redis_expect(connection, "GET greeting\r\n", "$5\r\nhello\r\n");
    for (unsigned i = 1; i <= 300; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof expected, ":%u\r\n", i);
        redis_expect(connection, "INCR visits\r\n", expected);
        if (i == 100) {
            (void)e2e_hit_leader(local, SIGKILL);
        }
    }
    redis_expect(connection, "DEL greeting\r\n", ":1\r\n");
    redis_expect(connection, "GET greeting\r\n", "$-1\r\n");
    (void)close(connection);
    e2e_cluster_end(local);
}

// SIGTERM to everybody: nobody has to be killed.
static void test_orderly_shutdown(void **state)
{
    (void)state;
    struct local *local = e2e_cluster(&plan, true);
    cli_sleep_ns(RESTED_NS);
    assert_int_equal(local_down(local), 0);
    e2e_cluster_end(local);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_leader),
        cmocka_unit_test(test_stop_and_continue_leader),
        cmocka_unit_test(test_stop_follower_and_kill_memnode),
        cmocka_unit_test(test_broadcast_on_memnodes),
        cmocka_unit_test(test_replace_memnodes),
        cmocka_unit_test(test_second_memnode_stops_slow_path),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_passive_memnodes),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_orderly_shutdown),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
