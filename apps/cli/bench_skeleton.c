// SPDX-License-Identifier: Apache-2.0
//
// See bench_skeleton.h. Each pair of processes has a cell for each round; with one request
// outstanding no cell is written again before it was read.
#include "bench_skeleton.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/waiting.h"
#include "cli.h"

#define CLIENT SKELETON_REPLICAS
#define PROCESSES (SKELETON_REPLICAS + 1u)
#define LEADER 0u
#define REPLIES_NEEDED (SKELETON_REPLICAS / 2u + 1u)
#define SPINS 200u // with processors enough
#define SLEEP_NS 100000000
#define ANSWER_NS UINT64_C(5000000000)

enum round { ROUND_REQUEST, ROUND_LOCK, ROUND_LOCKED, ROUND_ACK, ROUND_REPLY, ROUNDS };

struct cell {
    _Alignas(TACIT_CACHE_LINE) _Atomic uint64_t number; // of the request, written last
    uint8_t bytes[SKELETON_BYTES_MAX];
};

struct bell {
    _Alignas(TACIT_CACHE_LINE) _Atomic uint32_t rings;
    _Atomic uint32_t sleeping;
};

struct shared {
    struct cell cells[ROUNDS][PROCESSES][PROCESSES]; // [from][to]
    struct bell bells[PROCESSES];
};

struct process {
    struct shared *shared;
    const struct skeleton_options *options;
    unsigned self;
    bool is_crowded;
    uint32_t written;                  // to whom, since they were last rung
    uint64_t number;                   // of the request being worked on
    enum round said;                   // last round in which this replica spoke
    unsigned looks;                    // in vain
    uint8_t bytes[SKELETON_BYTES_MAX]; // what came last
};

static bool has(struct process *process, enum round round, unsigned from)
{
    struct cell *cell = &process->shared->cells[round][from][process->self];
    if (atomic_load_explicit(&cell->number, memory_order_acquire) != process->number) {
        return false;
    }
    memcpy(process->bytes, cell->bytes, process->options->bytes);
    return true;
}

static void write_to(struct process *process, enum round round, unsigned to)
{
    struct cell *cell = &process->shared->cells[round][process->self][to];
    memcpy(cell->bytes, process->bytes, process->options->bytes);
    atomic_store_explicit(&cell->number, process->number, memory_order_release);
    process->written |= 1u << to;
}

static void write_to_replicas(struct process *process, enum round round)
{
    for (unsigned r = 0; r < SKELETON_REPLICAS; r++) {
        if (r != process->self) {
            write_to(process, round, r);
        }
    }
    process->said = round;
}

// As the doorbell of the fabric: the fence here or the one in wait_a_little() is first.
static void ring_all(struct process *process)
{
    for (unsigned to = 0; to < PROCESSES; to++) {
        struct bell *bell = &process->shared->bells[to];
        if ((process->written >> to & 1u) == 0) {
            continue;
        }
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_exchange(&bell->sleeping, 0) != 0) {
            atomic_fetch_add(&bell->rings, 1);
            (void)syscall(SYS_futex, &bell->rings, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
    process->written = 0;
}

static bool heard_all(struct process *process, enum round round)
{
    for (unsigned r = 0; r < SKELETON_REPLICAS; r++) {
        bool speaks = r != process->self && !(round == ROUND_LOCKED && r == LEADER);
        if (speaks && !has(process, round, r)) {
            return false;
        }
    }
    return true;
}

// One look of a replica; true: there was something to do.
static bool replica_turn(struct process *process)
{
    enum round before = process->said;
    if (process->said == ROUND_REQUEST && has(process, ROUND_REQUEST, CLIENT)) {
        if (process->self == LEADER) {
            write_to_replicas(process, ROUND_LOCK);
        } else if (has(process, ROUND_LOCK, LEADER)) {
            write_to_replicas(process, ROUND_LOCKED);
        }
    }
    if ((process->said == ROUND_LOCK || process->said == ROUND_LOCKED) &&
        heard_all(process, ROUND_LOCKED)) {
        write_to_replicas(process, ROUND_ACK);
    }
    if (process->said == ROUND_ACK && heard_all(process, ROUND_ACK)) {
        write_to(process, ROUND_REPLY, CLIENT);
        process->number++;
        process->said = ROUND_REQUEST;
        before = ROUND_REPLY;
    }
    ring_all(process);
    return process->said != before;
}

static bool client_turn(struct process *process)
{
    unsigned replies = 0;
    for (unsigned r = 0; r < SKELETON_REPLICAS; r++) {
        replies += has(process, ROUND_REPLY, r);
    }
    return replies >= REPLIES_NEEDED;
}

static bool turn(struct process *process)
{
    return process->self == CLIENT ? client_turn(process) : replica_turn(process);
}

static void sleep_once(struct process *process)
{
    static const struct timespec time = {.tv_nsec = SLEEP_NS};
    struct bell *bell = &process->shared->bells[process->self];
    uint32_t rings = atomic_load(&bell->rings);
    atomic_store(&bell->sleeping, 1);
    atomic_thread_fence(memory_order_seq_cst);
    process->looks = 0;
    if (turn(process)) {
        process->looks = UINT32_MAX; // worked after all
    } else {
        (void)syscall(SYS_futex, &bell->rings, FUTEX_WAIT, rings, &time, NULL, 0);
    }
    atomic_store(&bell->sleeping, 0);
    atomic_thread_fence(memory_order_seq_cst);
}

// After a look in vain. True: a last look before sleeping was not in vain.
static bool wait_a_little(struct process *process)
{
    enum tacit_config_waiting waiting = process->options->waiting;
    unsigned looks = process->is_crowded ? TACIT_WAITING_YIELDS : SPINS;
    process->looks++;
    if (waiting == TACIT_CONFIG_ADAPTIVE && process->looks >= looks) {
        sleep_once(process);
        return process->looks == UINT32_MAX;
    }
    if (waiting == TACIT_CONFIG_YIELD ||
        (waiting == TACIT_CONFIG_ADAPTIVE && process->is_crowded)) {
        (void)sched_yield();
    } else {
        __asm__ volatile("" ::: "memory");
    }
    return false;
}

static void wait_for_work(struct process *process, uint64_t end_ns)
{
    process->looks = 0;
    while (!turn(process) && !wait_a_little(process) && cli_now_ns() < end_ns) {
    }
}

static enum tacit_status client_run(struct process *process, struct histogram *latency,
                                    struct tacit_error *error)
{
    const struct skeleton_options *options = process->options;
    for (uint64_t i = 0; i < options->warm_up + options->count; i++) {
        uint64_t start_ns = cli_now_ns();
        process->number = i + 1;
        memset(process->bytes, (int)(i & 0xff), options->bytes);
        write_to_replicas(process, ROUND_REQUEST);
        ring_all(process);
        wait_for_work(process, start_ns + ANSWER_NS);
        uint64_t took_ns = cli_now_ns() - start_ns;
        if (!client_turn(process) || process->bytes[options->bytes - 1] != (uint8_t)(i & 0xff)) {
            return tacit_error_set(error, TACIT_ETIMEDOUT, 0, "the skeleton does not answer");
        }
        if (i >= options->warm_up) {
            histogram_add(latency, took_ns);
        }
        if (options->interrupted()) {
            return tacit_error_set(error, TACIT_ECLOSED, 0, "interrupted");
        }
    }
    return TACIT_OK;
}

_Noreturn static void replica_run(struct process *process)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    process->number = 1;
    for (;;) {
        wait_for_work(process, UINT64_MAX);
    }
}

enum tacit_status skeleton_run(const struct skeleton_options *options, struct histogram *latency,
                               struct tacit_error *error)
{
    pid_t children[SKELETON_REPLICAS];
    unsigned started = 0;
    enum tacit_status status = TACIT_OK;
    static struct process process;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (shared == MAP_FAILED) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the skeleton");
    }
    process = (struct process){.shared = shared,
                               .options = options,
                               .is_crowded = tacit_waiting_is_crowded(SKELETON_REPLICAS)};
    for (; started < SKELETON_REPLICAS && status == TACIT_OK; started++) {
        process.self = started;
        children[started] = fork();
        if (children[started] == 0) {
            replica_run(&process);
        }
        if (children[started] < 0) {
            status = tacit_error_set(error, TACIT_EIO, errno, "cannot start a process");
            break;
        }
    }
    process.self = CLIENT;
    if (status == TACIT_OK) {
        status = client_run(&process, latency, error);
    }
    for (unsigned i = 0; i < started; i++) {
        (void)kill(children[i], SIGKILL);
        (void)waitpid(children[i], NULL, 0);
    }
    (void)munmap(shared, sizeof *shared);
    return status;
}
