// SPDX-License-Identifier: Apache-2.0
//
// See signer.h. Each queue is a ring with one producer, the protocol thread; workers take from the
// rings under a lock of their own. Each worker has a ring of completions with one consumer, the
// protocol thread. Nobody can overrun a ring: jobs between submit() and poll() are counted. Where
// the protocol thread helps it takes jobs like a worker, and has a ring of completions, too: the
// one behind those of the workers.
#include "signer.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_DEFAULT 64u
// A worker without work looks again after this, whatever happens.
#define SLEEP_NS 1000000000
// Where the protocol thread helps: so many turns with work in a row, while a job waits, and a
// worker is called. Few: that is 10 us or so, as long as a worker takes to wake up.
#define BUSY_TURNS 8u

struct queue {
    _Alignas(TACIT_CACHE_LINE) atomic_uint submitted; // free-running; protocol thread writes
    unsigned under_way;                               // protocol thread: not polled yet
    _Alignas(TACIT_CACHE_LINE) unsigned taken;        // under the workers' lock
    struct tacit_signer_job *jobs;                    // depth
};

struct completion {
    struct tacit_signer_done done;
    uint8_t charge;
    bool verify;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    bool is_started;
    _Alignas(TACIT_CACHE_LINE) atomic_uint finished; // free-running; the worker writes
    _Alignas(TACIT_CACHE_LINE) unsigned polled;      // protocol thread
    struct completion *done;                         // capacity
};

struct pool {
    struct tacit_signer signer; // first
    struct tacit_signer_pool_config config;
    struct tacit_keypair *own; // locked memory
    struct tacit_public_key *keys;
    uint32_t clients_at, operator_at, spares_at; // where they begin in keys
    uint32_t workers, depth, capacity;
    pthread_mutex_t lock; // of the workers; the protocol thread only tries it
    uint32_t turn;        // charge that was served last, under the lock
    atomic_uint taken;    // of all queues; free-running, under the lock
    // Of the protocol thread: whether it helps, what it submitted (free-running), turns without
    // help.
    bool is_helped;
    unsigned submitted, busy_turns;
    uint64_t calls;
    atomic_uint work; // futex: counts what was submitted
    atomic_uint sleepers;
    atomic_bool stop;
    uint32_t next_worker; // whose completions are looked at first
    struct queue queues[TACIT_SIGNER_CHARGES];
    struct worker worker[TACIT_SIGNER_POOL_WORKERS_MAX + 1]; // [workers]: the protocol thread
};

static long futex(atomic_uint *word, int what, unsigned value, const struct timespec *time)
{
    return syscall(SYS_futex, word, what, value, time, NULL, 0);
}

// ---- workers
// -----------------------------------------------------------------------------------------------------

// The next job in turn, copied out. For who has the lock, which is given back.
static bool take(struct pool *pool, struct tacit_signer_job *job)
{
    bool found = false;
    for (uint32_t i = 1; i <= TACIT_SIGNER_CHARGES && !found; i++) {
        uint32_t charge = (pool->turn + i) % TACIT_SIGNER_CHARGES;
        struct queue *queue = &pool->queues[charge];
        if (atomic_load_explicit(&queue->submitted, memory_order_acquire) != queue->taken) {
            *job = queue->jobs[queue->taken++ % pool->depth];
            pool->turn = charge;
            (void)atomic_fetch_add_explicit(&pool->taken, 1, memory_order_relaxed);
            found = true;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

// The public key of an author; NULL: nobody.
static const struct tacit_public_key *key_of(const struct pool *pool, uint16_t author)
{
    static const struct tacit_public_key none;
    const struct tacit_public_key *key = &none;
    if (author >= TACIT_SIGNER_CLIENT) {
        uint32_t client = author - TACIT_SIGNER_CLIENT;
        key = client < pool->config.client_count ? &pool->keys[pool->clients_at + client] : key;
    } else if (author == TACIT_SIGNER_OPERATOR) {
        key = &pool->keys[pool->operator_at];
    } else if (author >= TACIT_SIGNER_SPARE && author <= TACIT_SIGNER_SPARE + TACIT_SPARES_MAX) {
        key = &pool->keys[pool->spares_at + author - TACIT_SIGNER_SPARE];
    } else if (author < pool->config.replica_count) {
        key = &pool->keys[author];
    }
    return memcmp(key, &none, sizeof none) == 0 ? NULL : key;
}

static void execute(struct worker *worker, const struct tacit_signer_job *job)
{
    struct pool *pool = worker->pool;
    unsigned at = atomic_load_explicit(&worker->finished, memory_order_relaxed);
    struct completion *out = &worker->done[at % pool->capacity];
    *out = (struct completion){.done = {.cookie = job->cookie, .valid = true},
                               .charge = job->charge,
                               .verify = job->verify};
    if (job->verify) {
        out->done.signature = job->signature;
        out->done.valid =
            tacit_signature_is_valid(&job->signature, key_of(pool, job->author), job->domain,
                                     &pool->config.scope, job->payload, job->payload_bytes);
    } else {
        tacit_signature_make(&out->done.signature, pool->own, job->domain, &pool->config.scope,
                             job->payload, job->payload_bytes);
    }
    atomic_store_explicit(&worker->finished, at + 1, memory_order_release);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    struct tacit_signer_job job;
    while (!atomic_load(&pool->stop)) {
        // In this order: what is submitted after the load changes the word.
        unsigned seen = atomic_load(&pool->work);
        (void)pthread_mutex_lock(&pool->lock);
        if (take(pool, &job)) {
            execute(worker, &job);
            pool->config.wake(pool->config.context);
            continue;
        }
        struct timespec time = {.tv_sec = SLEEP_NS / 1000000000};
        atomic_fetch_add(&pool->sleepers, 1);
        if (!atomic_load(&pool->stop)) {
            (void)futex(&pool->work, FUTEX_WAIT_PRIVATE, seen, &time);
        }
        atomic_fetch_sub(&pool->sleepers, 1);
    }
    return NULL;
}

// ---- the port
// ----------------------------------------------------------------------------------------------------

static bool pool_knows(struct tacit_signer *signer, uint16_t author)
{
    return key_of((struct pool *)signer, author) != NULL;
}

static void call_worker(struct pool *pool)
{
    // Either the worker that is about to sleep sees the word changed, or we see the sleeper.
    atomic_fetch_add(&pool->work, 1);
    if (atomic_load(&pool->sleepers) != 0) {
        (void)futex(&pool->work, FUTEX_WAKE_PRIVATE, 1, NULL);
    }
}

static bool pool_submit(struct tacit_signer *signer, const struct tacit_signer_job *job)
{
    struct pool *pool = (struct pool *)signer;
    assert(job->charge < TACIT_SIGNER_CHARGES && job->payload_bytes <= TACIT_SIGN_PAYLOAD_MAX);
    struct queue *queue = &pool->queues[job->charge];
    if (job->verify && key_of(pool, job->author) == NULL) {
        return false;
    }
    if (queue->under_way == pool->depth) {
        signer->signatures_refused++;
        return false;
    }
    queue->under_way++;
    unsigned at = atomic_load_explicit(&queue->submitted, memory_order_relaxed);
    queue->jobs[at % pool->depth] = *job;
    atomic_store_explicit(&queue->submitted, at + 1, memory_order_release);
    pool->submitted++;
    if (!pool->is_helped) {
        call_worker(pool);
    }
    return true;
}

static size_t pool_poll(struct tacit_signer *signer, struct tacit_signer_done *done, size_t max)
{
    struct pool *pool = (struct pool *)signer;
    size_t count = 0;
    for (uint32_t i = 0; i <= pool->workers && count < max; i++) {
        struct worker *worker = &pool->worker[(pool->next_worker + i) % (pool->workers + 1)];
        unsigned finished = atomic_load_explicit(&worker->finished, memory_order_acquire);
        while (worker->polled != finished && count < max) {
            const struct completion *from = &worker->done[worker->polled++ % pool->capacity];
            done[count++] = from->done;
            pool->queues[from->charge].under_way--;
            signer->signatures_checked += from->verify;
            signer->signatures_made += !from->verify;
        }
    }
    pool->next_worker = (pool->next_worker + 1) % (pool->workers + 1);
    return count;
}

// ---- the protocol thread as a worker
// ------------------------------------------------------------------------------

void tacit_signer_pool_will_help(struct tacit_signer *signer)
{
    ((struct pool *)signer)->is_helped = true;
}

// Whether no worker has taken some job yet. (Who takes one may be about to say so: that is found
// out by looking for it.)
static bool is_waiting(const struct pool *pool)
{
    return atomic_load_explicit(&pool->taken, memory_order_relaxed) != pool->submitted;
}

bool tacit_signer_pool_help(struct tacit_signer *signer)
{
    struct pool *pool = (struct pool *)signer;
    struct tacit_signer_job job;
    pool->busy_turns = 0;
    // A worker that has the lock may be without a processor: it is not waited for.
    if (!is_waiting(pool) || pthread_mutex_trylock(&pool->lock) != 0 || !take(pool, &job)) {
        return false;
    }
    execute(&pool->worker[pool->workers], &job);
    return true;
}

void tacit_signer_pool_busy(struct tacit_signer *signer, bool sleeps)
{
    struct pool *pool = (struct pool *)signer;
    if (!is_waiting(pool)) {
        pool->busy_turns = 0;
    } else if (sleeps || ++pool->busy_turns >= BUSY_TURNS) {
        pool->busy_turns = 0;
        pool->calls++;
        call_worker(pool);
    }
}

uint64_t tacit_signer_pool_calls(const struct tacit_signer *signer)
{
    return ((const struct pool *)signer)->calls;
}

// ---- open and close
// ----------------------------------------------------------------------------------------------

static void workers_stop(struct pool *pool)
{
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->work, 1);
    (void)futex(&pool->work, FUTEX_WAKE_PRIVATE, TACIT_SIGNER_POOL_WORKERS_MAX, NULL);
    for (uint32_t i = 0; i < pool->workers; i++) {
        if (pool->worker[i].is_started) {
            (void)pthread_join(pool->worker[i].thread, NULL);
        }
    }
}

void tacit_signer_pool_close(struct tacit_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    struct pool *pool = (struct pool *)signer;
    workers_stop(pool);
    tacit_secret_free(pool->own);
    (void)pthread_mutex_destroy(&pool->lock);
    for (uint32_t i = 0; i < TACIT_SIGNER_CHARGES; i++) {
        free(pool->queues[i].jobs);
    }
    for (uint32_t i = 0; i <= pool->workers; i++) {
        free(pool->worker[i].done);
    }
    free(pool->keys);
    free(pool);
}

static enum tacit_status check_config(const struct tacit_signer_pool_config *config,
                                      struct tacit_error *error)
{
    if (config->workers > TACIT_SIGNER_POOL_WORKERS_MAX) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "cannot start %u signing threads: at most %u are accepted",
                               config->workers, TACIT_SIGNER_POOL_WORKERS_MAX);
    }
    if (config->depth > TACIT_SIGNER_POOL_DEPTH_MAX || config->replica_count > TACIT_REPLICAS_MAX ||
        config->client_count > UINT16_MAX - TACIT_SIGNER_CLIENT || config->wake == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "cannot start the signing pool: queues of %u jobs (at most %u), %u "
                               "replicas (at most %u), %u clients",
                               config->depth, TACIT_SIGNER_POOL_DEPTH_MAX, config->replica_count,
                               (unsigned)TACIT_REPLICAS_MAX, config->client_count);
    }
    return TACIT_OK;
}

static uint32_t default_workers(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    long workers = processors < 4 ? 1 : processors / 2;
    return workers > 4 ? 4u : (uint32_t)workers;
}

static bool copy_keys(struct pool *pool)
{
    const struct tacit_signer_pool_config *config = &pool->config;
    pool->clients_at = config->replica_count;
    pool->operator_at = pool->clients_at + config->client_count;
    pool->spares_at = pool->operator_at + 1;
    pool->keys = calloc(pool->spares_at + TACIT_SPARES_MAX + 1, sizeof *pool->keys);
    if (pool->keys == NULL) {
        return false;
    }
    if (config->replica_count > 0) {
        memcpy(pool->keys, config->replicas, config->replica_count * sizeof *pool->keys);
    }
    if (config->client_count > 0) {
        memcpy(pool->keys + pool->clients_at, config->clients,
               config->client_count * sizeof *pool->keys);
    }
    if (config->spares != NULL) {
        memcpy(pool->keys + pool->spares_at, config->spares,
               (TACIT_SPARES_MAX + 1) * sizeof *pool->keys);
    }
    if (config->operator_key != NULL) {
        pool->keys[pool->operator_at] = *config->operator_key;
    }
    return true;
}

static bool allocate(struct pool *pool)
{
    bool is_done = copy_keys(pool);
    for (uint32_t i = 0; i < TACIT_SIGNER_CHARGES; i++) {
        pool->queues[i].jobs = calloc(pool->depth, sizeof *pool->queues[i].jobs);
        is_done = is_done && pool->queues[i].jobs != NULL;
    }
    for (uint32_t i = 0; i <= pool->workers; i++) {
        pool->worker[i].pool = pool;
        pool->worker[i].done = calloc(pool->capacity, sizeof *pool->worker[i].done);
        is_done = is_done && pool->worker[i].done != NULL;
    }
    return is_done;
}

// Signals are for other threads.
static int workers_start(struct pool *pool)
{
    sigset_t all;
    sigset_t before;
    int failed = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 0; i < pool->workers && failed == 0; i++) {
        failed = pthread_create(&pool->worker[i].thread, NULL, work, &pool->worker[i]);
        pool->worker[i].is_started = failed == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum tacit_status tacit_signer_pool_open(struct tacit_signer **out,
                                         const struct tacit_signer_pool_config *config,
                                         struct tacit_error *error)
{
    static const struct tacit_signer_ops ops = {
        .submit = pool_submit, .knows = pool_knows, .poll = pool_poll};
    enum tacit_status status = check_config(config, error);
    if (status != TACIT_OK) {
        return status;
    }
    struct pool *pool = aligned_alloc(TACIT_CACHE_LINE, sizeof *pool);
    if (pool == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the signing pool");
    }
    memset(pool, 0, sizeof *pool);
    (void)pthread_mutex_init(&pool->lock, NULL);
    pool->signer.ops = &ops;
    pool->config = *config;
    pool->workers = config->workers == 0 ? default_workers() : config->workers;
    pool->depth = config->depth == 0 ? DEPTH_DEFAULT : config->depth;
    // Powers of two, so that free-running counters may wrap.
    while ((pool->depth & (pool->depth - 1)) != 0) {
        pool->depth &= pool->depth - 1;
    }
    pool->capacity = pool->depth;
    while (pool->capacity < pool->depth * TACIT_SIGNER_CHARGES) {
        pool->capacity *= 2;
    }
    pool->own = tacit_secret_alloc(sizeof *pool->own, error);
    if (pool->own == NULL) {
        status = error == NULL ? TACIT_ENOMEM : error->status;
    } else if (!allocate(pool)) {
        status = tacit_error_set(error, TACIT_ENOMEM, errno, "no memory for the signing pool");
    } else {
        *pool->own = *config->own;
        pool->config.own = NULL; // from here on all is copied
        pool->config.replicas = pool->config.clients = pool->config.operator_key = NULL;
        int failed = workers_start(pool);
        status = failed == 0
                     ? TACIT_OK
                     : tacit_error_set(error, TACIT_EIO, failed, "cannot start a signing thread");
    }
    if (status != TACIT_OK) {
        tacit_signer_pool_close(&pool->signer);
        return status;
    }
    *out = &pool->signer;
    return TACIT_OK;
}
