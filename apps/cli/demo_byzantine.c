// SPDX-License-Identifier: Apache-2.0
//
// The demo of Byzantine mode: one replica lies in three ways, is stopped, and comes back honest as
// a new incarnation; only then the leader is killed, and a memory node under the slow path. Before
// each fault it is asserted, from what the correct replicas say, that it is within the fault model.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "demo.h"

#define LIAR 0u        // it leads at first, so that there is something to equivocate about
#define SLOW_SLOTS 20u // decided with signatures in a row: the slow path is serving
#define LOOK_NS 5000000u

// What a correct replica counted.
struct tally {
    uint64_t fast, slow, seals, bad, malformed;
    bool accuses;
};

static struct tally tally_of(const struct demo *demo, uint16_t replica, uint16_t liar)
{
    json_t *report = local_status(&demo->local, replica);
    struct tally tally = {.fast = local_number(report, "byzantine", "decided_fast"),
                          .slow = local_number(report, "byzantine", "decided_slow"),
                          .seals = local_number(report, "byzantine", "seals"),
                          .bad = local_number(report, "byzantine", "signatures_bad"),
                          .malformed = local_number(report, "counters", "malformed")};
    const json_t *list = json_object_get(json_object_get(report, "byzantine"), "condemned");
    for (size_t i = 0; i < json_array_size(list); i++) {
        tally.accuses =
            tally.accuses || json_integer_value(json_array_get(list, i)) == (json_int_t)liar;
    }
    json_decref(report);
    return tally;
}

static void print_members(const struct demo *demo)
{
    int leader = local_wait_leader(&demo->local, -1, local_patience_ns(&demo->local));
    json_t *report = leader < 0 ? NULL : local_status(&demo->local, (uint16_t)leader);
    const json_t *members = json_object_get(report, "members");
    (void)printf("  asserted: every replica is a member (incarnations");
    for (size_t i = 0; i < json_array_size(members); i++) {
        (void)printf(" %lld", (long long)json_integer_value(json_array_get(members, i)));
    }
    (void)printf(", epoch %llu) and none is faulty: f = %u may be\n",
                 (unsigned long long)local_number(report, "byzantine", "epoch"),
                 demo->local.config.f);
    json_decref(report);
}

// One more faulty replica is within f: everybody is a member and nobody has lied since.
static bool assert_healthy(struct demo *demo)
{
    if (!local_wait_healthy(&demo->local, local_patience_ns(&demo->local))) {
        (void)tacit_error_set(&demo->error, TACIT_EBUSY, 0,
                              "not every replica is a member and honest (members: %x, liars: %x): "
                              "one more fault would be beyond f = %u",
                              local_members(&demo->local), local_liars(&demo->local),
                              demo->local.config.f);
        return false;
    }
    print_members(demo);
    return true;
}

// Nobody else of its kind is faulty. Asked again while a view changes, when that is not known.
static bool assert_only(struct demo *demo, struct local_node node)
{
    uint64_t end_ns = cli_now_ns() + local_patience_ns(&demo->local);
    while (local_may_lose(&demo->local, node, &demo->error) != TACIT_OK) {
        if (cli_now_ns() > end_ns) {
            return false;
        }
        cli_sleep_ns(LOOK_NS);
    }
    return true;
}

static bool under_attack(struct demo *demo, const char *name, const char *what)
{
    struct tally before[TACIT_REPLICAS_MAX] = {{0}};
    for (uint32_t r = 0; r < demo->local.config.replica_count; r++) {
        before[r] = tally_of(demo, (uint16_t)r, LIAR);
    }
    if (!assert_only(demo, (struct local_node){LOCAL_REPLICA, LIAR}) ||
        local_attack_set(&demo->local, LIAR, name, &demo->error) != TACIT_OK) {
        return false;
    }
    (void)printf("replica %u%s %s\n", LIAR,
                 local_leader(&demo->local) == (int)LIAR ? ", the leader," : "", what);
    if (!demo_watch(demo)) {
        return false;
    }
    for (uint32_t r = 0; r < demo->local.config.replica_count; r++) {
        if (r == LIAR) {
            continue;
        }
        struct tally now = tally_of(demo, (uint16_t)r, LIAR);
        (void)printf("  replica %u: %s; decided %llu fast and %llu with signatures, left %llu "
                     "views; refused %llu signatures, %llu messages\n",
                     r, now.accuses ? "holds proof that it lies" : "holds no proof against it",
                     (unsigned long long)(now.fast - before[r].fast),
                     (unsigned long long)(now.slow - before[r].slow),
                     (unsigned long long)(now.seals - before[r].seals),
                     (unsigned long long)(now.bad - before[r].bad),
                     (unsigned long long)(now.malformed - before[r].malformed));
    }
    return true;
}

static bool cure_liar(struct demo *demo)
{
    struct local_node node = {LOCAL_REPLICA, LIAR};
    (void)printf("replica %u is stopped and started again: honest, and without its memory\n", LIAR);
    if (local_signal(&demo->local, node, SIGKILL, &demo->error) != TACIT_OK) {
        return false;
    }
    if (!local_wait_gone(&demo->local, node, local_patience_ns(&demo->local))) {
        (void)tacit_error_set(&demo->error, TACIT_ETIMEDOUT, 0, "it does not end");
        return false;
    }
    return demo_bring_back(demo, LIAR) && demo_watch(demo);
}

static bool play_liar(struct demo *demo)
{
    return assert_healthy(demo) &&
           under_attack(demo, "equivocate",
                        "equivocates: it tells some another thing than others") &&
           under_attack(demo, "flood", "floods the others with messages that ask for work") &&
           under_attack(demo, "silent", "falls silent: nothing that it writes reaches anybody") &&
           cure_liar(demo);
}

// Until this many more slots were decided with signatures.
static bool wait_slow_path(struct demo *demo)
{
    int leader = local_wait_leader(&demo->local, -1, local_patience_ns(&demo->local));
    uint64_t end_ns = cli_now_ns() + local_patience_ns(&demo->local);
    uint64_t first = leader < 0 ? 0 : tally_of(demo, (uint16_t)leader, LIAR).slow;
    while (leader >= 0 && cli_now_ns() < end_ns) {
        if (tally_of(demo, (uint16_t)leader, LIAR).slow >= first + SLOW_SLOTS) {
            return true;
        }
        cli_sleep_ns(LOOK_NS);
    }
    (void)tacit_error_set(&demo->error, TACIT_ETIMEDOUT, 0, "the slow path does not serve");
    return false;
}

static bool kill_memnode(struct demo *demo)
{
    struct local_node node = {LOCAL_MEMNODE, 0};
    if (!wait_slow_path(demo) || !assert_only(demo, node)) {
        return false;
    }
    (void)printf("SIGKILL to memory node 0 (pid %ld), while the slow path is serving: the first of "
                 "fm = %u\n",
                 (long)local_pid(&demo->local, node), demo->local.config.fm);
    uint64_t killed_ns = cli_now_ns();
    if (local_signal(&demo->local, node, SIGKILL, &demo->error) != TACIT_OK || !demo_watch(demo)) {
        return false;
    }
    struct load_outage outage = load_outage(demo->load, killed_ns, cli_now_ns());
    (void)printf("  the longest wait of a client since then: %.0f us\n",
                 (double)outage.longest_wait_ns / 1e3);
    return true;
}

enum tacit_status demo_choose_liar(struct demo *demo)
{
    enum tacit_status status = local_attack_set(&demo->local, LIAR, "none", &demo->error);
    if (status == TACIT_ENOENT) { // installed, not built here
        (void)printf("%s\nso nobody lies in this demo; the leader and a memory node die\n",
                     demo->error.text);
        return TACIT_OK;
    }
    if (status == TACIT_OK) {
        (void)printf("replica %u runs tacit-attacker, which behaves until it is told to lie\n",
                     LIAR);
    }
    return status;
}

bool demo_play_byzantine(struct demo *demo)
{
    char page[TACIT_CONFIG_PATH_BYTES];
    uint16_t victim = 0;
    bool has_liar = local_attack_page(&demo->local, LIAR, page);
    return demo_watch(demo) && (!has_liar || play_liar(demo)) && assert_healthy(demo) &&
           demo_kill_leader(demo, &victim) && kill_memnode(demo) && demo_bring_back(demo, victim) &&
           assert_healthy(demo) && demo_watch(demo);
}
