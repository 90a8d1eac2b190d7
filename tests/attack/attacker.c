// SPDX-License-Identifier: Apache-2.0
//
// What makes tacit-replica a liar: the linker puts these functions between its main program and the
// fabric (post(), sleep(), region()), the engine's turn, and their set-up (--wrap). The rest is the
// production replica, object for object. What it does when is told by the page (page.h).
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "apps/cli/local.h"
#include "apps/client/provider.h"
#include "attacks.h"
#include "core/smr/internal.h"
#include "page.h"

#define COPY_BYTES 262144u // larger writes pass untouched
#define HANDLES 256u       // the low byte of a handle (memnodes/shm)
#define TELL_NS UINT64_C(20000000)
#define FLIPS 4u // bits of its memory that change at a time

static struct liar {
    struct adversary adversary;
    struct choice choice;
    struct tacit_fabric *fabric;
    const struct tacit_fabric_ops *real;
    struct tacit_fabric_ops ops; // with ours in between
    const struct tacit_keypair *keypair;
    struct tacit_scope scope;
    struct tacit_smr *smr;
    uint8_t *memory; // of smr
    size_t memory_bytes;
    struct attack_page *page;
    const struct attack *attack;
    uint32_t attack_index;
    tacit_time_ns_t act_ns, tell_ns;
    struct {
        int32_t handle;
        uint8_t region_class;
    } regions[TACIT_NODES_MAX][HANDLES];
    uint64_t copy[COPY_BYTES / 8];              // of a write on its way
    uint64_t more[ADVERSARY_MESSAGE_BYTES / 4]; // of a message of its own accord, meanwhile
} liar;

enum tacit_status __real_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error);
enum tacit_status __wrap_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error);
enum tacit_status __real_tacit_smr_init(struct tacit_smr **result, void *memory,
                                        const struct tacit_smr_config *config,
                                        struct tacit_fabric *fabric, const struct tacit_app *app,
                                        const struct tacit_smr_probe *probe, tacit_time_ns_t now_ns,
                                        struct tacit_error *error);
enum tacit_status __wrap_tacit_smr_init(struct tacit_smr **result, void *memory,
                                        const struct tacit_smr_config *config,
                                        struct tacit_fabric *fabric, const struct tacit_app *app,
                                        const struct tacit_smr_probe *probe, tacit_time_ns_t now_ns,
                                        struct tacit_error *error);
bool __real_tacit_smr_poll(struct tacit_smr *smr, tacit_time_ns_t now_ns);
bool __wrap_tacit_smr_poll(struct tacit_smr *smr, tacit_time_ns_t now_ns);

// ---- the adversary's world ---------------------------------------------------------------------

static struct tacit_smr *smr_of(void *context, uint32_t replica)
{
    (void)context;
    (void)replica;
    return liar.smr;
}

static void sign(void *context, uint32_t replica, tacit_domain_t domain, const uint8_t *payload,
                 uint32_t bytes, struct tacit_signature *out)
{
    (void)context;
    (void)replica;
    tacit_signature_make(out, liar.keypair, domain, &liar.scope, payload, bytes);
}

static bool forge(void *context, uint32_t replica, uint32_t host, struct tacit_region_key key,
                  uint64_t offset, const void *bytes, uint32_t count)
{
    (void)context;
    (void)replica;
    struct tacit_op op = {.kind = TACIT_OP_WRITE,
                          .plane = TACIT_PLANE_DATA,
                          .flags = TACIT_OP_QUIET,
                          .host = (tacit_node_t)host,
                          .region = liar.real->region(liar.fabric, (tacit_node_t)host, key),
                          .bytes = count,
                          .offset = offset,
                          .local = liar.more};
    if (op.region < 0 || count > sizeof liar.more) {
        return false;
    }
    memcpy(liar.more, bytes, count); // post() takes no const
    return liar.real->post(liar.fabric, &op);
}

static void ring(void *context, uint32_t replica, uint32_t host)
{
    (void)context;
    (void)replica;
    if (host != liar.fabric->self) {
        liar.real->ring(liar.fabric, (tacit_node_t)host);
    }
}

static void wake(void *context, uint32_t replica)
{
    (void)context; // its turn comes right after whatever it does
    (void)replica;
}

static uint32_t rate(void *context, enum adversary_attack attack)
{
    (void)context;
    return liar.attack->rate[attack];
}

// ---- the fabric --------------------------------------------------------------------------------

static int32_t liar_region(struct tacit_fabric *fabric, tacit_node_t host,
                           struct tacit_region_key key)
{
    int32_t handle = liar.real->region(fabric, host, key);
    if (handle >= 0) {
        liar.regions[host][(uint32_t)handle % HANDLES].handle = handle;
        liar.regions[host][(uint32_t)handle % HANDLES].region_class = key.region_class;
    }
    return handle;
}

// Completes as if it had landed: reads from there, to nowhere.
static bool post_nothing(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    struct tacit_op instead = *op;
    instead.kind = TACIT_OP_READ;
    instead.local = liar.copy;
    atomic_fetch_add(&liar.page->muted, 1);
    return liar.real->post(fabric, &instead);
}

static bool liar_post(struct tacit_fabric *fabric, const struct tacit_op *op)
{
    if (liar.attack_index == ATTACK_NONE || op->kind != TACIT_OP_WRITE ||
        op->host == fabric->self || op->bytes > COPY_BYTES || op->region < 0) {
        return liar.real->post(fabric, op);
    }
    bool is_next = op->host == (tacit_node_t)((fabric->self + 1u) % liar.adversary.replicas);
    if (liar.attack->mutes_all || (liar.attack->mutes_one && is_next)) {
        return post_nothing(fabric, op);
    }
    uint32_t slot = (uint32_t)op->region % HANDLES;
    if (liar.regions[op->host][slot].handle != op->region) {
        return liar.real->post(fabric, op);
    }
    memcpy(liar.copy, op->local, op->bytes);
    struct adversary_write write = {.region_class = liar.regions[op->host][slot].region_class,
                                    .bytes = op->bytes,
                                    .offset = op->offset,
                                    .copy = liar.copy};
    if (!adversary_tamper(&liar.adversary, fabric->self, op->host, &write)) {
        return post_nothing(fabric, op);
    }
    struct tacit_op changed = *op;
    changed.bytes = write.bytes;
    changed.offset = write.offset;
    changed.local = liar.copy;
    return liar.real->post(fabric, &changed);
}

static void liar_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    bool acts = liar.attack->pace_us != 0 && liar.act_ns < until_ns;
    liar.real->sleep(fabric, acts ? liar.act_ns : until_ns);
}

// ---- its own doing -----------------------------------------------------------------------------

static void flip(uint8_t *memory, size_t bytes)
{
    if (memory != NULL && bytes > 0) {
        size_t at = ((size_t)choice_u32(&liar.choice, UINT32_MAX) << 16 ^
                     choice_u32(&liar.choice, UINT32_MAX)) %
                    bytes;
        memory[at] ^= (uint8_t)(1u << choice_u32(&liar.choice, 8));
    }
}

static void corrupt(void)
{
    size_t bytes = 0;
    const struct tacit_region_key state = {.region_class = TACIT_REGION_STATE,
                                           .owner = liar.fabric->self};
    uint8_t *region = liar.real->local(liar.fabric, state, &bytes);
    for (uint32_t i = 0; i < FLIPS; i++) {
        flip(liar.memory, liar.memory_bytes);
        flip(region, bytes);
    }
}

// Its own assertion failed, or it touched what is not there: from now on it is mute, but its
// process goes on, so that nobody is told of a death. SIGTERM ends it.
static void on_fall(int signal_number)
{
    (void)signal_number;
    sigset_t none;
    atomic_store(&liar.page->has_died, 1);
    (void)signal(SIGTERM, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (;;) {
        (void)pause();
    }
}

static void switch_to(uint32_t index)
{
    liar.attack_index = index < attack_count() ? index : ATTACK_NONE;
    liar.attack = attack_at(liar.attack_index);
    if (liar.attack_index != ATTACK_NONE) {
        static const int falls[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
        struct sigaction action = {.sa_handler = on_fall};
        for (size_t i = 0; i < sizeof falls / sizeof falls[0]; i++) {
            (void)sigaction(falls[i], &action, NULL);
        }
        atomic_store(&liar.page->lied, 1);
        adversary_actor_draw(&liar.adversary, liar.fabric->self);
        // Whoever withholds votes withholds them from all: the others shall need the slow path.
        liar.adversary.actor[liar.fabric->self].no_votes = UINT32_MAX;
    }
}

static void act(tacit_time_ns_t now_ns)
{
    uint32_t index = atomic_load_explicit(&liar.page->attack, memory_order_relaxed);
    if (index != liar.attack_index) {
        switch_to(index);
    }
    if (liar.attack->nap_us != 0) {
        struct timespec nap = {.tv_nsec = (long)liar.attack->nap_us * 1000};
        (void)nanosleep(&nap, NULL);
    }
    if (now_ns >= liar.tell_ns) {
        liar.tell_ns = now_ns + TELL_NS;
        for (uint32_t i = 0; i < ADVERSARY_ATTACKS; i++) {
            atomic_store_explicit(&liar.page->done[i], liar.adversary.done[i],
                                  memory_order_relaxed);
        }
    }
    if (liar.attack->pace_us == 0 || now_ns < liar.act_ns) {
        return;
    }
    uint32_t pace_ns = liar.attack->pace_us * 1000;
    liar.act_ns = now_ns + pace_ns / 2 + choice_u32(&liar.choice, pace_ns);
    if (liar.attack->corrupts) {
        corrupt();
    }
    adversary_act(&liar.adversary, liar.fabric->self);
}

// ---- what the linker puts in between -----------------------------------------------------------

static enum tacit_status open_page(struct tacit_error *error)
{
    const char *path = getenv(LOCAL_ATTACK_VARIABLE);
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *memory = file < 0
                       ? MAP_FAILED
                       : mmap(NULL, sizeof *liar.page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int reason = errno;
    if (file >= 0) {
        (void)close(file);
    }
    liar.page = memory == MAP_FAILED ? NULL : memory;
    if (liar.page == NULL || liar.page->magic != ATTACK_PAGE_MAGIC) {
        return tacit_error_set(error, TACIT_EINVAL, reason,
                               "this program lies on purpose, for tests: " LOCAL_ATTACK_VARIABLE
                               " must name the page that tells it how; `tacit local up --attack` "
                               "makes one");
    }
    return TACIT_OK;
}

enum tacit_status __wrap_tacit_provider_open(const struct tacit_provider_config *config,
                                             struct tacit_fabric **fabric,
                                             struct tacit_error *error)
{
    enum tacit_status status = open_page(error);
    if (status == TACIT_OK) {
        status = __real_tacit_provider_open(config, fabric, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    uint64_t seed = 0;
    tacit_random_bytes(&seed, sizeof seed);
    choice_init_seed(&liar.choice, seed);
    liar.attack = attack_at(ATTACK_NONE);
    liar.keypair = config->keypair;
    struct tacit_digest cluster;
    tacit_config_digest(&cluster, config->cluster);
    tacit_scope_make(&liar.scope, &config->group, &cluster);
    liar.fabric = *fabric;
    liar.real = liar.fabric->ops;
    liar.ops = *liar.real;
    liar.ops.post = liar_post;
    liar.ops.region = liar_region;
    liar.ops.sleep = liar_sleep;
    liar.fabric->ops = &liar.ops;
    return TACIT_OK;
}

enum tacit_status __wrap_tacit_smr_init(struct tacit_smr **result, void *memory,
                                        const struct tacit_smr_config *config,
                                        struct tacit_fabric *fabric, const struct tacit_app *app,
                                        const struct tacit_smr_probe *probe, tacit_time_ns_t now_ns,
                                        struct tacit_error *error)
{
    static const struct adversary_world world = {
        .smr = smr_of, .sign = sign, .forge = forge, .ring = ring, .wake = wake, .rate = rate};
    if (config->engine != TACIT_ENGINE_BYZANTINE || config->replicas > ADVERSARY_REPLICAS) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a liar is a member of a Byzantine group of at most %u replicas",
                               ADVERSARY_REPLICAS);
    }
    enum tacit_status status =
        __real_tacit_smr_init(result, memory, config, fabric, app, probe, now_ns, error);
    if (status == TACIT_OK) {
        adversary_init(&liar.adversary, &world, &liar.choice, config->replicas, config->clients,
                       config->byzantine.window);
        liar.smr = *result;
        liar.memory = memory;
        liar.memory_bytes = tacit_smr_size(config);
    }
    return status;
}

bool __wrap_tacit_smr_poll(struct tacit_smr *smr, tacit_time_ns_t now_ns)
{
    act(now_ns);
    return __real_tacit_smr_poll(smr, now_ns);
}
