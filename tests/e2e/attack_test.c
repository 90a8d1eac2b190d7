// SPDX-License-Identifier: Apache-2.0
//
// Replicas that lie, as real processes: one after the other, each with another attack, is switched
// on under load, stopped, started again without its memory and readmitted. Meanwhile no client may
// see anything wrong or wait for ever, and no correct replica may end, stop answering, accuse
// another correct one, or grow. A client lies, too, all the time. With TACIT_SOAK_SECONDS set:
// every attack in turn, for so long.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack/attacks.h"
#include "e2e.h"

#define ATTACK_NS UINT64_C(3000000000) // of one attack
#define STEP 20u                       // answers that may not take 15 s
#define LOOK_NS 2000000u
#define CLUSTER_ATTACKS 6u     // then the clients' histories are judged
#define REPORT_AGE_US 2000000u // a correct replica's report is never older
#define LYING_CLIENT 9u        // not one of the load's
#define GROWTH_KIB 4096u       // of a correct replica's own memory since it was a member

static const struct local_plan plan = {.replicas = 3,
                                       .memnodes = 3,
                                       .mode = TACIT_CONFIG_BYZANTINE,
                                       .waiting = TACIT_CONFIG_ADAPTIVE,
                                       .arena_bytes = 32u << 20};

struct soak {
    struct local *local;
    struct load *load;
    pid_t pid[TACIT_REPLICAS_MAX];
    uint64_t own_kib[TACIT_REPLICAS_MAX]; // when it was a member first
    uint16_t victim;                      // of the next attack
    pid_t client;                         // that lies
};

// ---- a client that lies ------------------------------------------------------------------------

static pid_t start_client(const struct local *local)
{
    char program[TACIT_CONFIG_PATH_BYTES + 32];
    char node[TACIT_CONFIG_PATH_BYTES];
    char name[] = "tacit-lying-client";
    char option[] = "--node";
    char *const argv[] = {name, option, node, NULL};
    (void)snprintf(program, sizeof program, "%s/%s", local->programs, name);
    local_path(local, node, "client-%u.yaml", LYING_CLIENT);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execv(program, argv);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

static void end_client(const struct soak *soak)
{
    int status = -1;
    assert_int_equal(kill(soak->client, SIGTERM), 0);
    assert_int_equal(waitpid(soak->client, &status, 0), soak->client);
    assert_int_equal(status, 0); // it lied to the end
}

// ---- correct replicas --------------------------------------------------------------------------

// Memory that belongs to the process alone; what peers' regions take is bounded by the layouts.
static uint64_t own_kib(pid_t pid)
{
    char path[64];
    char line[128];
    unsigned long long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kib = strtoull(line + 8, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

static void know(struct soak *soak, uint16_t replica)
{
    soak->pid[replica] = local_pid(soak->local, e2e_replica(replica));
    assert_true(soak->pid[replica] != 0);
    soak->own_kib[replica] = own_kib(soak->pid[replica]);
    assert_true(soak->own_kib[replica] != 0);
}

// Nothing that the liar does may show in them.
static void check_correct(const struct soak *soak, uint16_t liar)
{
    for (uint16_t r = 0; r < soak->local->config.replica_count; r++) {
        if (r == liar) {
            continue;
        }
        pid_t pid = local_pid(soak->local, e2e_replica(r));
        if (pid != soak->pid[r]) {
            fail_msg("replica %u, which is correct, ended", r);
        }
        json_t *report = local_status(soak->local, r);
        if (report == NULL || local_number(report, "process", "report_age_us") > REPORT_AGE_US) {
            fail_msg("replica %u, which is correct, is stuck", r);
        }
        const json_t *list = json_object_get(json_object_get(report, "byzantine"), "condemned");
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (json_integer_value(json_array_get(list, i)) != liar) {
                fail_msg("replica %u condemned replica %lld, which is correct", r,
                         (long long)json_integer_value(json_array_get(list, i)));
            }
        }
        json_decref(report);
        uint64_t kib = own_kib(pid);
        if (kib > soak->own_kib[r] + GROWTH_KIB) {
            fail_msg("replica %u, which is correct, grew from %llu to %llu KiB", r,
                     (unsigned long long)soak->own_kib[r], (unsigned long long)kib);
        }
    }
}

// ---- one attack --------------------------------------------------------------------------------

// What every replica says, for whoever has to find out why nothing goes on.
static void dump(const struct soak *soak)
{
    for (uint16_t r = 0; r < soak->local->config.replica_count; r++) {
        json_t *report = local_status(soak->local, r);
        (void)json_dumpf(report, stderr, JSON_COMPACT);
        (void)fprintf(stderr, "\n");
        json_decref(report);
    }
}

// Waits for some answers more.
static void require_progress(const struct soak *soak)
{
    uint64_t enough = load_acknowledged(soak->load) + STEP;
    uint64_t end_ns = cli_now_ns() + E2E_READY_NS / 2; // clients give up after all of it
    while (load_acknowledged(soak->load) < enough && !load_failed(soak->load)) {
        if (cli_now_ns() > end_ns) {
            dump(soak);
            fail_msg("clients wait for ever; above is what each replica says");
        }
        cli_sleep_ns(LOOK_NS);
    }
    assert_false(load_failed(soak->load));
}

// What the correct replicas counted.
struct tally {
    uint64_t fast, slow, views, accused;
};

static struct tally tally_of(const struct soak *soak, uint16_t liar)
{
    struct tally tally = {0};
    for (uint16_t r = 0; r < soak->local->config.replica_count; r++) {
        json_t *report = r == liar ? NULL : local_status(soak->local, r);
        tally.fast += local_number(report, "byzantine", "decided_fast");
        tally.slow += local_number(report, "byzantine", "decided_slow");
        tally.views += local_number(report, "byzantine", "seals");
        tally.accused +=
            json_array_size(json_object_get(json_object_get(report, "byzantine"), "condemned"));
        json_decref(report);
    }
    return tally;
}

// Everybody is a member and nobody lies: one more may be faulty.
static void require_healthy(const struct soak *soak)
{
    if (!local_wait_healthy(soak->local, E2E_READY_NS)) {
        fail_msg("members: %x, liars: %x: one fault more could be beyond f",
                 local_members(soak->local), local_liars(soak->local));
    }
}

static void under_attack(struct soak *soak, const char *name)
{
    struct tacit_error error = {.text = ""};
    uint16_t liar = soak->victim;
    require_healthy(soak);
    struct tally before = tally_of(soak, liar);
    bool led = local_leader(soak->local) == (int)liar;
    uint64_t start_ns = cli_now_ns();
    uint64_t answered = load_acknowledged(soak->load);
    if (local_attack_set(soak->local, liar, name, &error) != TACIT_OK) {
        fail_msg("%s", error.text);
    }
    while (cli_now_ns() < start_ns + ATTACK_NS) {
        require_progress(soak);
        check_correct(soak, liar);
    }
    struct load_outage outage = load_outage(soak->load, start_ns, cli_now_ns());
    struct tally after = tally_of(soak, liar);
    answered = load_acknowledged(soak->load) - answered;
    print_message(
        "%-15s replica %u%s: %6llu answers, longest wait %8.1f ms; fast %llu, slow %llu, "
        "views left %llu, condemned by %llu\n",
        name, liar, led ? " (led)" : "      ", (unsigned long long)answered,
        (double)outage.longest_wait_ns / 1e6, (unsigned long long)(after.fast - before.fast),
        (unsigned long long)(after.slow - before.slow),
        (unsigned long long)(after.views - before.views), (unsigned long long)after.accused);
}

// Stops the liar; it comes back without its memory and behaves, as a new incarnation.
static void cure(struct soak *soak)
{
    struct tacit_error error = {.text = ""};
    struct local_node node = e2e_replica(soak->victim);
    uint64_t start_ns = cli_now_ns();
    char text[1024] = "";
    (void)local_attack_text(soak->local, soak->victim, text, sizeof text);
    if (local_pid(soak->local, node) != 0) {
        (void)local_signal(soak->local, node, SIGKILL, &error);
        assert_true(local_wait_gone(soak->local, node, E2E_READY_NS));
    }
    if (local_attack_set(soak->local, soak->victim, "none", &error) != TACIT_OK ||
        scratch_readmit(soak->local, soak->victim, E2E_READY_NS, &error) == 0) {
        dump(soak);
        fail_msg("after %s: %s", text, error.text);
    }
    print_message("                readmitted after %.0f ms (%s)\n",
                  (double)(cli_now_ns() - start_ns) / 1e6, text);
    check_correct(soak, soak->victim);
    know(soak, soak->victim);
    soak->victim = (uint16_t)((soak->victim + 1) % soak->local->config.replica_count);
}

static void soak_begin(struct soak *soak)
{
    struct tacit_error error;
    soak->local = e2e_make(&plan, false);
    for (uint16_t r = 0; r < soak->local->config.replica_count; r++) {
        assert_int_equal(local_attack_set(soak->local, r, "none", &error), TACIT_OK);
    }
    e2e_start(soak->local);
    soak->load = e2e_load(soak->local);
    e2e_progress(soak->load, 300);
    soak->client = start_client(soak->local);
    for (uint16_t r = 0; r < soak->local->config.replica_count; r++) {
        know(soak, r);
    }
}

static void soak_end(struct soak *soak)
{
    e2e_progress(soak->load, 300);
    end_client(soak);
    e2e_verdict(soak->load);
    e2e_cluster_end(soak->local);
}

// The attacks of the list, each once.
static void run(const char *const *names, uint32_t count, uint16_t first_victim)
{
    struct soak soak = {.victim = first_victim};
    soak_begin(&soak);
    for (uint32_t i = 0; i < count; i++) {
        under_attack(&soak, names[i]);
        cure(&soak);
    }
    soak_end(&soak);
}

// ---- tests -------------------------------------------------------------------------------------

static void test_attacks(void **state)
{
    (void)state;
    static const char *const names[] = {"equivocate", "flood", "silent", "stale-register",
                                        "everything"};
    run(names, sizeof names / sizeof names[0], 2);
}

static void test_soak(void **state)
{
    (void)state;
    const char *given = getenv("TACIT_SOAK_SECONDS");
    uint64_t seconds = given == NULL ? 0 : strtoull(given, NULL, 10);
    uint64_t end_ns = cli_now_ns() + seconds * 1000000000u;
    uint32_t next = ATTACK_NONE + 1;
    uint16_t victim = 0;
    if (seconds == 0) {
        skip();
    }
    while (cli_now_ns() < end_ns) {
        const char *names[CLUSTER_ATTACKS];
        for (uint32_t i = 0; i < CLUSTER_ATTACKS; i++) {
            names[i] = attack_at(next)->name;
            next = next + 1 == attack_count() ? ATTACK_NONE + 1 : next + 1;
        }
        run(names, CLUSTER_ATTACKS, victim);
        victim = (uint16_t)((victim + 1) % plan.replicas);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_soak),
    };
    e2e_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
