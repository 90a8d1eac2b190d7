// SPDX-License-Identifier: Apache-2.0
//
// tacit bench floor: what this machine can do at all. Hand-over between two processes, in three
// ways to wait; the cryptography that requests need; the rings without agreement.
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_cluster.h"
#include "bench_options.h"
#include "bench_rounds.h"
#include "cli.h"
#include "generator.h"
#include "tacit/crypto.h"

#define TURNS 20000u // of a hand-over in a round
#define WAKES 2000u  // of one with a sleep
#define ECHO_NS UINT64_C(300000000)
#define LOST_NS UINT64_C(5000000000)
#define BYTES 64u
#define PAGE 4096u
#define REPEAT 16u
#define OPERATIONS 2000u

enum row {
    ROW_CLOCK = 0,
    ROW_SPIN,
    ROW_YIELD,
    ROW_WAKE,
    ROW_DIGEST,
    ROW_DIGEST_PAGE,
    ROW_MAC,
    ROW_SIGN,
    ROW_VERIFY,
    ROW_ECHO,
    ROWS
};

static const struct {
    const char *key, *what;
} rows[ROWS] = {
    [ROW_CLOCK] = {"clock", "look at the clock"},
    [ROW_SPIN] = {"spin", "round trip of two processes, both spin"},
    [ROW_YIELD] = {"yield", "the same, both give way (sched_yield)"},
    [ROW_WAKE] = {"wake", "the same, both sleep (futex)"},
    [ROW_DIGEST] = {"digest", "digest of 64 B"},
    [ROW_DIGEST_PAGE] = {"digest_page", "digest of 4 KiB"},
    [ROW_MAC] = {"mac", "MAC of 64 B"},
    [ROW_SIGN] = {"sign", "signature of 64 B"},
    [ROW_VERIFY] = {"verify", "check of a signature"},
    [ROW_ECHO] = {"echo", "64 B through the rings, unreplicated"},
};

struct arguments {
    uint64_t rounds;
    const char *json;
};

struct bench {
    struct arguments arguments;
    struct bench_figure figures[ROWS]; // p50 of each round, ns
    struct local local;
    struct generator_result result; // scratch
    struct histogram times;
};

static const struct bench_option options[] = {
    BENCH_NUMBER(rounds, "rounds", "N", 1, BENCH_ROUNDS_MAX, "Rounds over everything (default 5)"),
    BENCH_JSON,
    {0},
};

// ---- hand-over ---------------------------------------------------------------------------------

struct ball {
    _Alignas(TACIT_CACHE_LINE) _Atomic uint32_t there;
    _Alignas(TACIT_CACHE_LINE) _Atomic uint32_t back;
};

static bool wait_for(_Atomic uint32_t *word, uint32_t value, enum row row)
{
    static const struct timespec patience = {.tv_sec = 1};
    uint64_t end_ns = cli_now_ns() + LOST_NS;
    for (uint32_t looks = 1; atomic_load_explicit(word, memory_order_acquire) != value; looks++) {
        if (row == ROW_YIELD) {
            (void)sched_yield();
        } else if (row == ROW_WAKE) {
            (void)syscall(SYS_futex, word, FUTEX_WAIT, value - 1, &patience, NULL, 0);
        }
        if (looks % 1024 == 0 && cli_now_ns() > end_ns) {
            return false; // the other one is gone
        }
    }
    return true;
}

static void hand_over(_Atomic uint32_t *word, uint32_t value, enum row row)
{
    atomic_store_explicit(word, value, memory_order_release);
    if (row == ROW_WAKE) {
        (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static enum tacit_status measure_round_trip(struct bench *bench, enum row row,
                                            struct tacit_error *error)
{
    uint32_t turns = row == ROW_WAKE ? WAKES : TURNS;
    enum tacit_status status = TACIT_OK;
    struct ball *ball =
        mmap(NULL, sizeof *ball, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ball == MAP_FAILED) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for two processes");
    }
    pid_t other = fork();
    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint32_t i = 1; i <= turns && wait_for(&ball->there, i, row); i++) {
            hand_over(&ball->back, i, row);
        }
        _exit(0);
    }
    for (uint32_t i = 1; i <= turns && other > 0 && status == TACIT_OK; i++) {
        uint64_t start_ns = cli_now_ns();
        hand_over(&ball->there, i, row);
        if (!wait_for(&ball->back, i, row)) {
            status =
                tacit_error_set(error, TACIT_ETIMEDOUT, 0, "the other process does not answer");
        }
        histogram_add(&bench->times, cli_now_ns() - start_ns);
    }
    if (other > 0) {
        (void)kill(other, SIGKILL);
        (void)waitpid(other, NULL, 0);
    } else {
        status = tacit_error_set(error, TACIT_EIO, errno, "cannot start a process");
    }
    (void)munmap(ball, sizeof *ball);
    return status;
}

// ---- cryptography ------------------------------------------------------------------------------

struct crypto {
    struct tacit_keypair keypair;
    struct tacit_scope scope;
    struct tacit_mac_key key;
    struct tacit_signature signature;
    uint8_t bytes[PAGE];
};

static bool crypto_once(struct crypto *crypto, enum row row)
{
    struct tacit_digest digest;
    struct tacit_mac128 mac;
    switch (row) {
    case ROW_DIGEST:
    case ROW_DIGEST_PAGE:
        tacit_digest_make(&digest, TACIT_DOMAIN_TEST, crypto->bytes,
                          row == ROW_DIGEST ? BYTES : PAGE);
        return true;
    case ROW_MAC:
        tacit_blake_mac128_make(&mac, &crypto->key, TACIT_DOMAIN_TEST, crypto->bytes, BYTES);
        return true;
    case ROW_SIGN:
        tacit_signature_make(&crypto->signature, &crypto->keypair, TACIT_DOMAIN_TEST,
                             &crypto->scope, crypto->bytes, BYTES);
        return true;
    default:
        return tacit_signature_is_valid(&crypto->signature, &crypto->keypair.public_key,
                                        TACIT_DOMAIN_TEST, &crypto->scope, crypto->bytes, BYTES);
    }
}

// Several in a row, where one takes not much longer than a look at the clock.
static enum tacit_status measure_crypto(struct bench *bench, enum row row,
                                        struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    uint32_t repeat = row == ROW_SIGN || row == ROW_VERIFY ? 1 : REPEAT;
    struct crypto *crypto = tacit_secret_alloc(sizeof *crypto, error);
    if (crypto == NULL) {
        return TACIT_ENOMEM;
    }
    tacit_keypair_generate(&crypto->keypair);
    tacit_signature_make(&crypto->signature, &crypto->keypair, TACIT_DOMAIN_TEST, &crypto->scope,
                         crypto->bytes, BYTES);
    for (uint32_t i = 0; i < OPERATIONS && status == TACIT_OK; i++) {
        uint64_t start_ns = cli_now_ns();
        for (uint32_t k = 0; k < repeat && status == TACIT_OK; k++) {
            status = crypto_once(crypto, row)
                         ? TACIT_OK
                         : tacit_error_set(error, TACIT_EIO, 0, "a good signature was refused");
        }
        histogram_add(&bench->times, (cli_now_ns() - start_ns) / repeat);
    }
    tacit_secret_free(crypto);
    return status;
}

static void measure_clock(struct bench *bench)
{
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint64_t start_ns = cli_now_ns();
        for (uint32_t k = 1; k < REPEAT; k++) {
            (void)cli_now_ns();
        }
        histogram_add(&bench->times, (cli_now_ns() - start_ns) / REPEAT);
    }
}

// ---- rings -------------------------------------------------------------------------------------

static enum tacit_status measure_echo(struct bench *bench, struct tacit_error *error)
{
    static const uint64_t bytes = BYTES;
    struct local_plan plan = {
        .replicas = 1, .memnodes = 0, .mode = TACIT_CONFIG_CRASH, .waiting = TACIT_CONFIG_ADAPTIVE};
    struct generator_options how = {.work = generator_flip(&bytes),
                                    .in_flight = 1,
                                    .warm_up_ns = ECHO_NS / 4,
                                    .duration_ns = ECHO_NS,
                                    .interrupted = scratch_interrupted};
    enum tacit_status status = bench_cluster_open(
        &bench->local, &plan, (struct bench_service){.app = "flip", .unreplicated = true}, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = generator_run(&bench->local, &how, &bench->result, error);
    histogram_merge(&bench->times, &bench->result.latency);
    scratch_close(&bench->local);
    return status;
}

static enum tacit_status measure(struct bench *bench, enum row row, struct tacit_error *error)
{
    enum tacit_status status = TACIT_OK;
    memset(&bench->times, 0, sizeof bench->times);
    switch (row) {
    case ROW_CLOCK:
        measure_clock(bench);
        break;
    case ROW_SPIN:
    case ROW_YIELD:
    case ROW_WAKE:
        status = measure_round_trip(bench, row, error);
        break;
    case ROW_ECHO:
        status = measure_echo(bench, error);
        break;
    default:
        status = measure_crypto(bench, row, error);
        break;
    }
    bench_figure_add(&bench->figures[row], (double)histogram_quantile(&bench->times, 0.5));
    return status;
}

static json_t *report_results(const struct bench *bench)
{
    json_t *results = json_object();
    (void)printf("%-42s %10s %18s   us, medians and spread of %llu rounds\n", "", "p50",
                 "lowest..highest", (unsigned long long)bench->arguments.rounds);
    for (unsigned row = 0; row < ROWS; row++) {
        const struct bench_figure *figure = &bench->figures[row];
        (void)printf("%-42s %10.3f %8.3f..%-8.3f\n", rows[row].what, bench_median(figure) / 1e3,
                     bench_lowest(figure) / 1e3, bench_highest(figure) / 1e3);
        json_t *object = bench_figure_json(figure);
        (void)json_object_set_new(object, "what", json_string(rows[row].what));
        (void)json_object_set_new(results, rows[row].key, object);
    }
    return results;
}

int bench_floor(int argc, char **argv)
{
    struct tacit_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) {
        return cli_complain("no memory");
    }
    bench->arguments = (struct arguments){.rounds = 5};
    if (bench_parse(options, "What this machine can do: hand-over, cryptography, rings.", argc,
                    argv, &bench->arguments) != 0) {
        free(bench);
        return 2;
    }
    enum tacit_status status = TACIT_OK;
    for (uint64_t round = 0; round < bench->arguments.rounds && status == TACIT_OK; round++) {
        for (unsigned row = 0; row < ROWS && status == TACIT_OK; row++) {
            status = measure(bench, (enum row)row, &error);
            if (scratch_interrupted()) {
                status = tacit_error_set(&error, TACIT_ECLOSED, 0, "interrupted");
            }
        }
    }
    int result = status == TACIT_OK
                     ? bench_write(bench->arguments.json, "floor", report_results(bench))
                     : cli_fail(&error);
    free(bench);
    return result;
}
