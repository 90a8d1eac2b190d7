// SPDX-License-Identifier: Apache-2.0
//
// The two signers: the pool of threads (apps/lib/) and the simulator's ideal scheme. The same rules
// for both: only an author signs as itself, queues are bounded and served in turn, and every job
// comes back exactly once.
//
// TACIT_ROUNDS: debug tsan
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/lib/signer.h"
#include "choice/choice.h"
#include "core/byzantine/requests_internal.h" // what is signed
#include "sim/sim_signer.h"

enum { REPLICAS = 3, CLIENTS = 2, SPARES = 2, DOMAIN = TACIT_DOMAIN_TEST + 7 };

static struct tacit_signer_job job_of(bool verify, uint8_t charge, uint16_t author, uint64_t number)
{
    struct tacit_signer_job job = {.verify = verify,
                                   .charge = charge,
                                   .author = author,
                                   .domain = DOMAIN,
                                   .payload_bytes = 40,
                                   .cookie = TACIT_SIGNER_COOKIE(TACIT_SIGNER_CTB, number)};
    memcpy(job.payload, &number, sizeof number);
    return job;
}

// ---- the pool
// ----------------------------------------------------------------------------------------------------

static sem_t bell;
static struct tacit_keypair keys[REPLICAS + CLIENTS + 1 + SPARES];

static void ring(void *context)
{
    (void)context;
    (void)sem_post(&bell);
}

static struct tacit_signer *pool_open(uint16_t self, uint32_t workers, uint32_t depth)
{
    static struct tacit_public_key replicas[REPLICAS];
    static struct tacit_public_key clients[CLIENTS];
    static struct tacit_public_key spares[TACIT_SPARES_MAX + 1];
    for (uint32_t i = 0; i < REPLICAS; i++) {
        replicas[i] = keys[i].public_key;
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i] = keys[REPLICAS + i].public_key;
    }
    memset(spares, 0, sizeof spares);
    for (uint32_t i = 1; i <= SPARES; i++) {
        spares[i] = keys[REPLICAS + CLIENTS + i].public_key;
    }
    struct tacit_signer_pool_config config = {.own = &keys[self],
                                              .scope = {{1, 2, 3}},
                                              .replicas = replicas,
                                              .replica_count = REPLICAS,
                                              .spares = spares,
                                              .clients = clients,
                                              .client_count = CLIENTS,
                                              .operator_key = &keys[REPLICAS + CLIENTS].public_key,
                                              .workers = workers,
                                              .depth = depth,
                                              .wake = ring};
    struct tacit_signer *signer = NULL;
    struct tacit_error error;
    assert_int_equal(tacit_signer_pool_open(&signer, &config, &error), TACIT_OK);
    // What was copied may change.
    memset(replicas, 0xee, sizeof replicas);
    memset(clients, 0xee, sizeof clients);
    memset(spares, 0xee, sizeof spares);
    return signer;
}

// Sleeps as a protocol thread does, until something is done.
static struct tacit_signer_done wait_done(struct tacit_signer *signer)
{
    struct tacit_signer_done done;
    while (signer->ops->poll(signer, &done, 1) == 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 20;
        assert_int_equal(sem_timedwait(&bell, &until), 0); // else a completion did not wake us
    }
    return done;
}

static bool verify_now(struct tacit_signer *signer, struct tacit_signer_job job)
{
    job.verify = true;
    assert_true(signer->ops->submit(signer, &job));
    struct tacit_signer_done done = wait_done(signer);
    assert_int_equal(done.cookie, job.cookie);
    assert_memory_equal(&done.signature, &job.signature, sizeof done.signature);
    return done.valid;
}

static void pool__signs_as_itself_only(void **state)
{
    (void)state;
    struct tacit_signer *signer = pool_open(1, 1, 4);
    struct tacit_signer_job job = job_of(false, 1, 0, 5);
    assert_true(signer->ops->submit(signer, &job));
    struct tacit_signer_done done = wait_done(signer);
    assert_true(done.valid && done.cookie == job.cookie);
    job.signature = done.signature;
    for (uint16_t author = 0; author < REPLICAS; author++) {
        job.author = author;
        assert_int_equal(verify_now(signer, job), author == 1);
    }
    job.author = TACIT_SIGNER_CLIENT + 1;
    assert_false(verify_now(signer, job));
    job.author = TACIT_SIGNER_OPERATOR;
    assert_false(verify_now(signer, job));
    job.author = 1;
    job.domain++;
    assert_false(verify_now(signer, job));
    job.domain--;
    job.payload_bytes++;
    assert_false(verify_now(signer, job));
    job.payload_bytes--;
    job.signature.bytes[3] ^= 1;
    assert_false(verify_now(signer, job));
    assert_int_equal(signer->signatures_made, 1);
    assert_int_equal(signer->signatures_checked, 8);
    tacit_signer_pool_close(signer);
}

static void pool__knows_the_configured_authors(void **state)
{
    (void)state;
    struct tacit_signer *signer = pool_open(0, 2, 4);
    for (uint32_t author = 0; author <= UINT16_MAX; author++) {
        bool is_spare = author > TACIT_SIGNER_SPARE && author <= TACIT_SIGNER_SPARE + SPARES;
        bool is_known = author < REPLICAS || author == TACIT_SIGNER_OPERATOR || is_spare ||
                        (author >= TACIT_SIGNER_CLIENT && author < TACIT_SIGNER_CLIENT + CLIENTS);
        struct tacit_signer_job job = job_of(true, 0, (uint16_t)author, 1);
        assert_int_equal(signer->ops->knows(signer, (uint16_t)author), is_known);
        assert_true(is_known || !signer->ops->submit(signer, &job));
    }
    assert_int_equal(signer->signatures_refused, 0);
    tacit_signer_pool_close(signer);
}

// Each spare has a key of its own, and is no seat's founder.
static void pool__checks_spares_by_their_own_keys(void **state)
{
    (void)state;
    for (uint16_t spare = 1; spare <= SPARES; spare++) {
        struct tacit_signer *signer = pool_open((uint16_t)(REPLICAS + CLIENTS + spare), 1, 4);
        struct tacit_signer_job job = job_of(false, 1, 0, 5);
        assert_true(signer->ops->submit(signer, &job));
        job.signature = wait_done(signer).signature;
        for (uint16_t author = 0; author < REPLICAS; author++) {
            job.author = author;
            assert_false(verify_now(signer, job));
        }
        for (uint16_t other = 1; other <= SPARES; other++) {
            job.author = (uint16_t)(TACIT_SIGNER_SPARE + other);
            assert_int_equal(verify_now(signer, job), other == spare);
        }
        tacit_signer_pool_close(signer);
    }
}

// Every job comes back once, whatever the number of workers; a full queue refuses, for itself only.
static void pool__brings_every_job_back_once(void **state)
{
    (void)state;
    enum { JOBS = 400, DEPTH = 8 };
    struct choice choice;
    choice_init_seed(&choice, 11);
    for (uint32_t workers = 1; workers <= 4; workers += 3) {
        struct tacit_signer *signer = pool_open(2, workers, DEPTH);
        static uint8_t back[JOBS];
        uint32_t under_way[TACIT_SIGNER_CHARGES] = {0};
        uint32_t charge_of[JOBS];
        uint32_t count = 0;
        memset(back, 0, sizeof back);
        for (uint64_t number = 0; number < JOBS || count > 0;) {
            uint32_t charge = choice_u32(&choice, TACIT_SIGNER_CHARGES);
            struct tacit_signer_job job = job_of(false, (uint8_t)charge, 0, number);
            if (number < JOBS && signer->ops->submit(signer, &job)) {
                assert_true(under_way[charge] < DEPTH);
                charge_of[number++] = charge;
                under_way[charge]++;
                count++;
                continue;
            }
            assert_true(number == JOBS || under_way[charge] == DEPTH);
            struct tacit_signer_done done = wait_done(signer);
            uint64_t which = TACIT_SIGNER_COOKIE_VALUE(done.cookie);
            assert_true(which < number && back[which]++ == 0);
            under_way[charge_of[which]]--;
            count--;
        }
        assert_int_equal(signer->signatures_made, JOBS);
        tacit_signer_pool_close(signer);
    }
}

// A flood of one charge delays another's job by the jobs that the workers are at, no more.
static void pool__serves_in_turn(void **state)
{
    (void)state;
    enum { DEPTH = 64 };
    struct tacit_signer *signer = pool_open(0, 1, DEPTH);
    struct tacit_signer_job job = job_of(true, 7, TACIT_SIGNER_CLIENT, 1);
    while (signer->ops->submit(signer, &job)) {
    }
    assert_int_equal(signer->signatures_refused, 1);
    job = job_of(true, 3, 2, 2);
    assert_true(signer->ops->submit(signer, &job));
    // What is done by now may have been done before that job came; of the rest, the worker may be
    // at one.
    bool found = false;
    struct tacit_signer_done done;
    while (signer->ops->poll(signer, &done, 1) == 1) {
        found = found || TACIT_SIGNER_COOKIE_VALUE(done.cookie) == 2;
    }
    uint32_t before = 0;
    while (!found) {
        found = TACIT_SIGNER_COOKIE_VALUE(wait_done(signer).cookie) == 2;
        before += !found;
    }
    assert_true(before <= 1);
    tacit_signer_pool_close(signer); // with jobs in the queue
}

// The store of requests above real threads: a client that has its room full of signatures to be
// checked delays another one's by what is at the signer, no more.
static enum tacit_requests_standing no_session(void *context, uint32_t client, uint64_t session,
                                               uint64_t *last)
{
    (void)context;
    (void)client;
    (void)session;
    *last = 0;
    return TACIT_STANDING_OPEN;
}

static enum tacit_requests_standing new_nonce(void *context, uint32_t client, uint64_t nonce)
{
    (void)context;
    (void)client;
    (void)nonce;
    return TACIT_STANDING_AHEAD;
}

static void put_signed(struct tacit_requests *requests, uint32_t client, uint64_t number)
{
    uint8_t payload[TACIT_SIGN_PAYLOAD_MAX];
    struct tacit_digest digest;
    struct tacit_signature signature;
    struct tacit_scope scope = {{1, 2, 3}};
    uint64_t session = 1ull << 16 | client;
    tacit_body_digest(&digest, "x", 1);
    uint32_t bytes =
        tacit_statement_request(payload, client, session, number, TACIT_REQUEST_APPLY, &digest);
    tacit_signature_make(&signature, &keys[REPLICAS + client], TACIT_DOMAIN_REQUEST, &scope,
                         payload, bytes);
    struct tacit_wire_request request = {.kind = TACIT_REQUEST_APPLY,
                                         .flags = TACIT_REQUEST_SIGNED,
                                         .session = session,
                                         .number = number,
                                         .body = (const uint8_t *)"x",
                                         .body_bytes = 1,
                                         .signature = signature.bytes};
    assert_int_equal(tacit_requests_put(requests, client, &request, 0), TACIT_PUT_TAKEN);
}

static void clients__take_turns_at_real_threads(void **state)
{
    (void)state;
    enum { FLOOD = 200 };
    struct tacit_signer *signer = pool_open(0, 1, 256);
    struct tacit_requests_config config = {.replicas = REPLICAS,
                                           .clients = CLIENTS,
                                           .sessions_per_client = 1,
                                           .session_pipeline = FLOOD,
                                           .client_requests = FLOOD,
                                           .request_bytes = 8,
                                           .message_bytes = 256,
                                           .window = 8,
                                           .lack_after_ns = 1000,
                                           .retry_ns = 1000};
    struct tacit_requests_calls calls = {.session = no_session, .nonce = new_nonce};
    struct tacit_marker marker = {0};
    struct tacit_bump bump = {0};
    (void)tacit_requests_init(&bump, &config, signer, &calls, marker);
    void *memory = aligned_alloc(64, tacit_round_up(bump.used, 64));
    assert_non_null(memory);
    bump = (struct tacit_bump){.base = memory};
    struct tacit_requests *requests = tacit_requests_init(&bump, &config, signer, &calls, marker);
    for (uint64_t number = 1; number <= FLOOD; number++) {
        put_signed(requests, 0, number);
    }
    // The flood's signatures were made in the meantime: what came back is taken first.
    struct tacit_signer_done done;
    while (signer->ops->poll(signer, &done, 1) == 1) {
        tacit_requests_signer(requests, &done, 0);
    }
    uint32_t before = 0;
    put_signed(requests, 1, 1);
    while (!tacit_requests_is_obliged(requests) || requests->clients[1].to_check > 0 ||
           requests->entries[requests->places_each + 1].checking) {
        done = wait_done(signer);
        tacit_requests_signer(requests, &done, 0);
        before++;
    }
    assert_true(requests->entries[requests->places_each + 1].is_signed);
    assert_true(before <= TACIT_CHECKS_OUT + CLIENTS);
    assert_null(tacit_requests_check(requests));
    tacit_signer_pool_close(signer);
    free(memory);
}

// A protocol thread that helps does the jobs itself, when it asks for one; the workers sleep.
static void pool__is_helped(void **state)
{
    (void)state;
    struct tacit_signer *signer = pool_open(1, 1, 4);
    struct tacit_signer_done done;
    struct tacit_signer_job job = job_of(false, 1, 0, 5);
    tacit_signer_pool_will_help(signer);
    assert_false(tacit_signer_pool_help(signer));
    unsigned helped = 0;
    for (uint64_t i = 0; i < 100; i++) {
        job.cookie = i;
        assert_true(signer->ops->submit(signer, &job));
        helped += tacit_signer_pool_help(signer); // unless the worker has only just begun
        done = wait_done(signer);
        assert_true(done.valid && done.cookie == i);
        assert_int_equal(signer->ops->poll(signer, &done, 1), 0);
    }
    assert_true(helped > 0);
    job.signature = done.signature;
    job.verify = true;
    job.author = 1;
    for (unsigned i = 0; i < 4; i++) {
        job.cookie = i;
        job.signature.bytes[3] ^= i == 3;
        assert_true(signer->ops->submit(signer, &job));
    }
    assert_false(signer->ops->submit(signer, &job)); // no more than without help
    unsigned came = 0;
    for (unsigned i = 0; i < 4; i++) { // what a worker had begun may be done after what is helped
        (void)tacit_signer_pool_help(signer);
        done = wait_done(signer);
        assert_true(done.cookie < 4 && (came >> done.cookie & 1) == 0);
        assert_int_equal(done.valid, done.cookie < 3);
        came |= 1u << done.cookie;
    }
    assert_false(tacit_signer_pool_help(signer));
    assert_int_equal(signer->signatures_made, 100);
    assert_int_equal(signer->signatures_checked, 4);
    tacit_signer_pool_close(signer);
}

// What it does not get to, because each turn has work, or because it sleeps, is done by a worker.
static void pool__is_left_to_workers_by_who_is_busy(void **state)
{
    (void)state;
    for (unsigned sleeps = 0; sleeps < 2; sleeps++) {
        struct tacit_signer *signer = pool_open(1, 1, 4);
        struct tacit_signer_job job = job_of(false, 1, 0, 5);
        tacit_signer_pool_will_help(signer);
        for (uint64_t i = 0; i < 100; i++) {
            job.cookie = i;
            assert_true(signer->ops->submit(signer, &job));
            for (unsigned turn = 0; turn < (sleeps ? 1 : 8); turn++) {
                tacit_signer_pool_busy(signer, sleeps != 0);
            }
            assert_int_equal(wait_done(signer).cookie, i);
        }
        uint64_t calls = tacit_signer_pool_calls(signer);
        assert_true(calls > 0 && calls <= 100); // a worker that is awake finds some by itself
        tacit_signer_pool_busy(signer, true);   // for nothing
        assert_int_equal(tacit_signer_pool_calls(signer), calls);
        tacit_signer_pool_close(signer);
    }
}

static void pool__refuses_bad_numbers(void **state)
{
    (void)state;
    struct tacit_signer_pool_config config = {
        .own = &keys[0], .workers = TACIT_SIGNER_POOL_WORKERS_MAX + 1, .wake = ring};
    struct tacit_signer *signer = NULL;
    struct tacit_error error;
    assert_int_equal(tacit_signer_pool_open(&signer, &config, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "threads"));
    config.workers = 1;
    config.replica_count = TACIT_REPLICAS_MAX + 1;
    assert_int_equal(tacit_signer_pool_open(&signer, &config, &error), TACIT_EINVAL);
    assert_null(signer);
    tacit_signer_pool_close(NULL);
}

// ---- the ideal scheme
// ---------------------------------------------------------------------------------------------

static struct sim_signer_world world;
static struct sim_signer sims[REPLICAS];
static uint64_t woken_ns;

static void note(void *context, uint64_t at_ns)
{
    (void)context;
    woken_ns = at_ns;
}

static void sims_open(uint32_t workers, uint32_t depth, struct choice *choice)
{
    sim_signer_world_init(&world, 99, REPLICAS, CLIENTS);
    for (uint16_t i = 0; i < REPLICAS; i++) {
        sim_signer_open(&sims[i], &world,
                        &(struct sim_signer_config){.self = i,
                                                    .workers = workers,
                                                    .depth = depth,
                                                    .sign_ns = 50,
                                                    .verify_ns = 100,
                                                    .jitter_ns = choice == NULL ? 0 : 30,
                                                    .choice = choice,
                                                    .wake = note});
    }
}

static void sim__signs_as_itself_only(void **state)
{
    (void)state;
    struct tacit_signature signature;
    sims_open(1, 4, NULL);
    for (uint16_t self = 0; self < REPLICAS; self++) {
        sim_signer_sign(&sims[self], DOMAIN, "abc", 3, &signature);
        for (uint16_t author = 0; author < REPLICAS + 5; author++) {
            assert_int_equal(sim_signer_is_valid(&world, author, DOMAIN, "abc", 3, &signature),
                             author == self);
        }
        assert_false(
            sim_signer_is_valid(&world, TACIT_SIGNER_CLIENT, DOMAIN, "abc", 3, &signature));
        assert_false(sim_signer_is_valid(&world, self, DOMAIN + 1, "abc", 3, &signature));
        assert_false(sim_signer_is_valid(&world, self, DOMAIN, "abc", 2, &signature));
        for (unsigned byte = 0; byte < sizeof signature.bytes; byte++) {
            signature.bytes[byte] ^= 0x10;
            assert_false(sim_signer_is_valid(&world, self, DOMAIN, "abc", 3, &signature));
            signature.bytes[byte] ^= 0x10;
        }
    }
}

static void sim__takes_its_time(void **state)
{
    (void)state;
    sims_open(1, 4, NULL);
    struct sim_signer *sim = &sims[1];
    struct tacit_signer *signer = &sim->signer;
    struct tacit_signer_done done;
    struct tacit_signer_job job = job_of(false, 0, 0, 1);
    sim_signer_advance(sim, 1000);
    assert_int_equal(sim_signer_next_ns(sim), UINT64_MAX);
    assert_true(signer->ops->submit(signer, &job));
    assert_int_equal(woken_ns, 1050);
    assert_int_equal(sim_signer_next_ns(sim), 1050);
    sim_signer_advance(sim, 1049);
    assert_int_equal(signer->ops->poll(signer, &done, 1), 0);
    sim_signer_advance(sim, 1050);
    assert_int_equal(signer->ops->poll(signer, &done, 1), 1);
    assert_true(sim_signer_is_valid(&world, 1, DOMAIN, job.payload, 40, &done.signature));
    // Others check it; it is worth nothing under another name.
    job.verify = true;
    job.author = 1;
    job.signature = done.signature;
    signer = &sims[2].signer;
    sim_signer_advance(&sims[2], 2000);
    assert_true(signer->ops->submit(signer, &job));
    job.author = 0;
    job.cookie++;
    assert_true(signer->ops->submit(signer, &job));
    job.author = REPLICAS;
    assert_false(signer->ops->submit(signer, &job));
    sim_signer_advance(&sims[2], 2199);
    struct tacit_signer_done two[4];
    assert_int_equal(signer->ops->poll(signer, two, 4), 1);
    assert_true(two[0].valid);
    sim_signer_advance(&sims[2], 2200);
    assert_int_equal(signer->ops->poll(signer, two, 4), 1);
    assert_false(two[0].valid);
}

static void sim__serves_in_turn_and_brings_all_back(void **state)
{
    (void)state;
    struct choice choice;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        choice_init_seed(&choice, seed);
        uint32_t workers = choice_range(&choice, 1, SIM_SIGNER_WORKERS);
        sims_open(workers, 16, &choice);
        struct sim_signer *sim = &sims[0];
        struct tacit_signer *signer = &sim->signer;
        struct tacit_signer_job job = job_of(true, 5, 1, 1);
        uint32_t flood = 0;
        while (signer->ops->submit(signer, &job)) {
            flood++;
        }
        assert_true(flood >= 16 && flood <= 16 + workers);
        job = job_of(true, 4, 1, 2);
        assert_true(signer->ops->submit(signer, &job));
        uint64_t now_ns = 0;
        uint32_t before = 0;
        uint32_t count = 0;
        bool found = false;
        while (sim_signer_next_ns(sim) != UINT64_MAX) {
            struct tacit_signer_done done;
            now_ns = sim_signer_next_ns(sim) > now_ns ? sim_signer_next_ns(sim) : now_ns;
            sim_signer_advance(sim, now_ns);
            while (signer->ops->poll(signer, &done, 1) == 1) {
                count++;
                found = found || TACIT_SIGNER_COOKIE_VALUE(done.cookie) == 2;
                before += !found;
            }
        }
        assert_int_equal(count, flood + 1);
        assert_true(before <= 2 * workers);
    }
}

static int setup(void **state)
{
    (void)state;
    struct tacit_error error;
    for (unsigned i = 0; i < REPLICAS + CLIENTS + 1 + SPARES; i++) {
        uint8_t seed[TACIT_SEED_BYTES] = {(uint8_t)(i + 1)};
        tacit_keypair_from_seed(&keys[i], seed);
    }
    return tacit_crypto_init(&error) != TACIT_OK || sem_init(&bell, 0, 0) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool__signs_as_itself_only),
        cmocka_unit_test(pool__knows_the_configured_authors),
        cmocka_unit_test(pool__checks_spares_by_their_own_keys),
        cmocka_unit_test(pool__brings_every_job_back_once),
        cmocka_unit_test(pool__serves_in_turn),
        cmocka_unit_test(clients__take_turns_at_real_threads),
        cmocka_unit_test(pool__is_helped),
        cmocka_unit_test(pool__is_left_to_workers_by_who_is_busy),
        cmocka_unit_test(pool__refuses_bad_numbers),
        cmocka_unit_test(sim__signs_as_itself_only),
        cmocka_unit_test(sim__takes_its_time),
        cmocka_unit_test(sim__serves_in_turn_and_brings_all_back),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
