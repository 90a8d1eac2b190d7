// SPDX-License-Identifier: Apache-2.0
//
// tacit demo: a cluster, real traffic, faults in the middle, and a verdict over everything that the
// clients were told. Here are the command and the demo of crash mode.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cli.h"
#include "demo.h"
#include "options.h"

#define CLIENTS 4u
#define LINE_NS UINT64_C(500000000)
#define LOOK_NS 20000000u

struct arguments {
    uint64_t seconds; // of each part
    struct local_plan plan;
};

static const struct argp_option options[] = {
    {"mode", 'm', "MODE", 0,
     "byzantine (default): a replica lies, then the leader is killed; crash: the leader is killed",
     0},
    {"fabric", 'f', "FABRIC", 0, CLI_FABRIC_HELP, 0},
    {"patience", 'p', "N", 0, CLI_PATIENCE_HELP, 0},
    {"seconds", 's', "N", 0, "Length of each part (default 2)", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'f':
        cli_option_fabric(state, value, &arguments->plan);
        return 0;
    case 'm':
        arguments->plan.mode = cli_option_mode(state, value);
        return 0;
    case 'p':
        arguments->plan.patience = cli_option_patience(state, value);
        return 0;
    case 's':
        arguments->seconds = cli_option_number(state, "--seconds", value, 1, 3600);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// ---- watching ----------------------------------------------------------------------------------

static void print_line(struct demo *demo)
{
    uint64_t now_ns = cli_now_ns();
    uint64_t acknowledged = load_acknowledged(demo->load);
    load_histogram(demo->load, &demo->now);
    struct histogram latest = demo->now;
    histogram_subtract(&latest, &demo->before);
    double seconds = (double)(now_ns - demo->line_ns) / 1e9;
    (void)printf("%s  %5.1f s  %8.0f operations/s  p50 %6.1f us  p99 %8.1f us%s",
                 demo->is_terminal ? "\r" : "", (double)(now_ns - demo->started_ns) / 1e9,
                 (double)(acknowledged - demo->lines_acknowledged) / seconds,
                 (double)histogram_quantile(&latest, 0.5) / 1e3,
                 (double)histogram_quantile(&latest, 0.99) / 1e3, demo->is_terminal ? "  " : "\n");
    (void)fflush(stdout);
    demo->before = demo->now;
    demo->line_ns = now_ns;
    demo->lines_acknowledged = acknowledged;
}

bool demo_watch(struct demo *demo)
{
    uint64_t end_ns = cli_now_ns() + demo->part_ns;
    while (cli_now_ns() < end_ns) {
        if (scratch_interrupted()) {
            (void)tacit_error_set(&demo->error, TACIT_ECLOSED, 0, "interrupted");
            return false;
        }
        if (load_failed(demo->load)) {
            (void)load_stop(demo->load, &demo->error);
            return false;
        }
        cli_sleep_ns(LOOK_NS);
        if (cli_now_ns() - demo->line_ns >= LINE_NS) {
            print_line(demo);
        }
    }
    if (demo->is_terminal) {
        (void)printf("\n");
    }
    return true;
}

static void print_cluster(const struct demo *demo)
{
    const struct local *local = &demo->local;
    struct local_node node;
    char name[TACIT_CONFIG_NAME_BYTES];
    int leader = local_leader(local);
    (void)printf("a cluster on this host, over %s (%s, f = %u):\n ",
                 local->config.fabric == TACIT_CONFIG_SHM ? "shared memory" : "RDMA",
                 local_is_byzantine(local) ? "Byzantine mode" : "log on the replicas",
                 local->config.f);
    for (uint32_t i = 0; i < local->config.replica_count; i++) {
        node = (struct local_node){LOCAL_REPLICA, (uint16_t)i};
        local_name(node, name);
        (void)printf(" %s (pid %ld%s)", name, (long)local_pid(local, node),
                     leader == (int)i ? ", leader" : "");
    }
    (void)printf("\n ");
    for (uint32_t i = 0; i < local->config.memnode_count; i++) {
        node = (struct local_node){LOCAL_MEMNODE, (uint16_t)i};
        local_name(node, name);
        (void)printf(" %s (pid %ld)", name, (long)local_pid(local, node));
    }
    (void)printf("\n  gateway for Redis clients on port %u (redis-cli -p %u)\n", local->port,
                 local->port);
}

// ---- the play ----------------------------------------------------------------------------------

static void print_outage(const struct demo *demo, int successor)
{
    json_t *report = local_status(&demo->local, (uint16_t)successor);
    uint64_t permission_ns = local_number(report, "last_election", "permission_ns");
    uint64_t recovery_ns = local_number(report, "last_election", "recovery_ns");
    uint64_t ask_ns = local_number(report, "last_election", "detect_to_ask_ns");
    uint64_t view = local_number(report, "byzantine", "view");
    json_decref(report);
    uint64_t known_ns = permission_ns + recovery_ns;
    uint64_t silence_ns = demo->outage.silence_ns;
    if (local_is_byzantine(&demo->local)) {
        (void)printf("  replica %d leads now, in view %llu, with signatures, as one is missing; "
                     "clients heard nothing for %.0f us (longest wait of one: %.0f us)\n",
                     successor, (unsigned long long)view, (double)silence_ns / 1e3,
                     (double)demo->outage.longest_wait_ns / 1e3);
        return;
    }
    (void)printf(
        "  replica %d leads now; clients heard nothing for %.0f us (longest wait of one: %.0f "
        "us)\n  of these: detection and clients' retries %.0f us (decision to ask %.0f us), "
        "permission switch %.0f us, catch-up %.0f us\n",
        successor, (double)silence_ns / 1e3, (double)demo->outage.longest_wait_ns / 1e3,
        (double)(silence_ns > known_ns ? silence_ns - known_ns : 0) / 1e3, (double)ask_ns / 1e3,
        (double)permission_ns / 1e3, (double)recovery_ns / 1e3);
}

bool demo_kill_leader(struct demo *demo, uint16_t *victim)
{
    struct local *local = &demo->local;
    bool is_healthy = local_wait_healthy(local, local_patience_ns(local));
    int leader = is_healthy ? local_wait_leader(local, -1, local_patience_ns(local)) : -1;
    struct local_node node = {LOCAL_REPLICA, (uint16_t)leader};
    if (leader < 0) {
        (void)tacit_error_set(
            &demo->error, TACIT_EBUSY, 0,
            "no leader, or a replica is down already: one more fault is beyond f = %u",
            local->config.f);
        return false;
    }
    (void)printf("SIGKILL to the leader, replica %d (pid %ld)\n", leader,
                 (long)local_pid(local, node));
    demo->killed_ns = cli_now_ns();
    if (local_signal(local, node, SIGKILL, &demo->error) != TACIT_OK || !demo_watch(demo)) {
        return false;
    }
    *victim = (uint16_t)leader;
    int successor = local_wait_leader(local, leader, local_patience_ns(local));
    if (successor < 0) {
        (void)tacit_error_set(&demo->error, TACIT_ETIMEDOUT, 0, "nobody took over");
        return false;
    }
    demo->outage = load_outage(demo->load, demo->killed_ns, demo->killed_ns + demo->part_ns);
    print_outage(demo, successor);
    return true;
}

bool demo_bring_back(struct demo *demo, uint16_t victim)
{
    local_attack_clear(&demo->local, victim);
    uint64_t took_ns =
        scratch_readmit(&demo->local, victim, local_patience_ns(&demo->local), &demo->error);
    if (took_ns == 0) {
        return false;
    }
    json_t *report = local_status(&demo->local, victim);
    (void)printf(
        "  replica %u is back as incarnation %llu: admitted after %.1f ms, fetched %llu pages of "
        "state\n",
        victim, (unsigned long long)local_number(report, NULL, "incarnation"),
        (double)took_ns / 1e6,
        (unsigned long long)local_number(report, "counters", "state_pages_fetched"));
    json_decref(report);
    return true;
}

static bool play_crash(struct demo *demo)
{
    uint16_t victim = 0;
    return demo_watch(demo) && demo_kill_leader(demo, &victim) && demo_bring_back(demo, victim) &&
           demo_watch(demo);
}

static bool play(struct demo *demo, struct audit *audit)
{
    bool is_byzantine = local_is_byzantine(&demo->local);
    demo->local.port = scratch_port();
    if ((is_byzantine && demo_choose_liar(demo) != TACIT_OK) ||
        local_up(&demo->local, &demo->error) != TACIT_OK) {
        return false;
    }
    print_cluster(demo);
    if (!local_wait_members(&demo->local, (1u << demo->local.config.replica_count) - 1,
                            local_patience_ns(&demo->local))) {
        (void)tacit_error_set(&demo->error, TACIT_ETIMEDOUT, 0,
                              "not all replicas joined the group");
        return false;
    }
    if (load_start(&demo->load, &demo->local, CLIENTS, 0, &demo->error) != TACIT_OK) {
        return false;
    }
    (void)printf("%u clients: increments, appends of unique tokens, pairs set together, reads\n",
                 CLIENTS);
    demo->started_ns = demo->line_ns = cli_now_ns();
    if (!(is_byzantine ? demo_play_byzantine(demo) : play_crash(demo))) {
        return false;
    }
    if (load_stop(demo->load, &demo->error) != TACIT_OK) {
        return false;
    }
    (void)printf("checking what the clients were told ...\n");
    *audit = audit_run(demo->load);
    return true;
}

int cli_demo(int argc, char **argv)
{
    static const struct argp argp = {
        options, parse, "", "Watch a cluster survive replicas that lie and die.", NULL, NULL, NULL};
    struct arguments arguments = {.seconds = 2,
                                  .plan = {.replicas = 3,
                                           .memnodes = 3,
                                           .mode = TACIT_CONFIG_BYZANTINE,
                                           .waiting = TACIT_CONFIG_ADAPTIVE}};
    struct audit audit = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return 2;
    }
    struct demo *demo = calloc(1, sizeof *demo);
    if (demo == NULL) {
        return cli_complain("no memory");
    }
    demo->part_ns = arguments.seconds * 1000000000u;
    demo->is_terminal = isatty(STDOUT_FILENO) != 0;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    bool played = false;
    if (scratch_open(&demo->local, &arguments.plan, &demo->error) == TACIT_OK) {
        played = play(demo, &audit);
        if (!played && demo->load != NULL) {
            struct tacit_error ignored;
            (void)load_stop(demo->load, &ignored);
        }
        scratch_close(&demo->local);
    }
    int result = 1;
    if (!played) {
        (void)printf("demo: failed: %s\n", demo->error.text);
    } else if (!audit.linearizable || audit.lost != 0) {
        (void)printf("demo: failed: %llu operations acknowledged, %llu lost: %s\n",
                     (unsigned long long)audit.operations, (unsigned long long)audit.lost,
                     audit.text);
    } else if (arguments.plan.mode == TACIT_CONFIG_BYZANTINE) {
        (void)printf("demo: %llu operations acknowledged, 0 lost, 0 wrong, linearizable\n",
                     (unsigned long long)audit.operations);
        result = 0;
    } else {
        (void)printf(
            "demo: %llu operations acknowledged, 0 lost, fail-over %llu us, linearizable\n",
            (unsigned long long)audit.operations,
            (unsigned long long)(demo->outage.silence_ns / 1000));
        result = 0;
    }
    load_free(demo->load);
    free(demo);
    return result;
}
