// SPDX-License-Identifier: Apache-2.0
//
// A replica in this process (tacit/replica.h): the place where engine, fabric provider, failure
// detector and application are put together.
#include "tacit/replica.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../client/cluster.h"
#include "control.h"
#include "log.h"
#include "node.h"
#include "runner.h"
#include "signer.h"
#include "standby.h"
#include "tacit/wire.h"
#include "view_source.h"
#include "waiting.h"

#define READ_TIMEOUT_BEATS 32u // of the detector
#define GRACE_SUSPICIONS 10u   // to start together
#define PERIODS_MAX 16u
#define OPTIONS_BYTES 1024u
#define NICE_GAIN 10 // Linux counts nice per thread
// A node that is in nobody's eyes a member: when it believes those who say that it was replaced,
// and when a spare that is not let into the seat that it saw dead goes back to standing by.
#define BELIEVES_NS UINT64_C(1000000000)
#define ALONE_NS UINT64_C(3000000000)
#define ADMITTED_NS UINT64_C(60000000000)
#define WATCH_NS 100000000u   // between two looks of the watch
#define MISSED_LOOKS 10u      // after which it asks, again after twice as many, ...
#define MISSED_LOOKS_MAX 100u // up to this

struct tacit_replica {
    struct tacit_node *node;
    struct tacit_fabric *fabric;
    struct tacit_signer *signer; // Byzantine mode
    void *memory;                // of smr and fd, one mapping
    size_t memory_bytes;
    struct tacit_smr *smr;
    struct tacit_fd *fd;
    struct tacit_detector detector;
    struct tacit_control *control;
    struct tacit_publisher publisher;
    struct tacit_view_source view;
    struct tacit_runner runner;
    uint64_t draws;
    uint64_t seat_words[TACIT_WIRE_SEATS]; // of the engine, read by the fabric's control thread
    bool is_over;                          // replaced, or not let into a seat
    pthread_t watch;                       // asks whether it was replaced while others are missing
    bool is_watched;
    atomic_bool ends, told;               // the watch shall end; it was told so by the group
    tacit_incarnation_t successor;        // who replaced it, as its state says; 0: not known
    tacit_time_ns_t started_ns, alone_ns; // alone: since when no replica was connected, 0: some are
    char app_options[OPTIONS_BYTES];
    void (*started)(void *context);
    void *context;
};

// Jitter of back-offs, no secret: splitmix64.
static uint32_t draw(void *context, uint32_t bound)
{
    uint64_t *state = context;
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) % bound);
}

static void wake(void *context)
{
    const struct tacit_replica *replica = context;
    tacit_provider_wake(&replica->node->provider, replica->fabric);
}

static void changed(void *context)
{
    struct tacit_replica *replica = context;
    tacit_view_source_changed(&replica->view);
}

static void settled(void *context)
{
    const struct tacit_replica *replica = context;
    tacit_control_notify(replica->control);
}

// ---- the end of its life in a seat
// ---------------------------------------------------------------------

// Protocol thread, with each report.
static bool is_over(void *context, const struct tacit_status_report *report, tacit_time_ns_t now_ns)
{
    struct tacit_replica *replica = context;
    const struct tacit_node *node = replica->node;
    bool has_spares = node->config.spare_replica_count > 0;
    bool waits = report->role == TACIT_ROLE_JOINING;
    uint32_t connected = (uint32_t)__builtin_popcount(report->up & ~(1u << report->self));
    tacit_time_ns_t age_ns = now_ns - replica->started_ns;
    replica->alone_ns = connected != 0 ? 0 : replica->alone_ns == 0 ? now_ns : replica->alone_ns;
    bool refused = __atomic_load_n(&node->is_replaced, __ATOMIC_ACQUIRE) && age_ns > BELIEVES_NS &&
                   connected <= node->config.f && has_spares;
    bool unwanted =
        node->seat.generation > 0 &&
        (age_ns > ADMITTED_NS || (replica->alone_ns != 0 && now_ns - replica->alone_ns > ALONE_NS));
    replica->successor = report->successor;
    replica->is_over =
        report->successor != 0 || atomic_load(&replica->told) || (waits && (refused || unwanted));
    return replica->is_over;
}

// A member that was replaced while it lived hears nothing of it: its connections end, and nobody
// makes new ones. So while any replica is missing it asks the group, as a client, now and then.
static void *watch(void *context)
{
    struct tacit_replica *replica = context;
    const struct tacit_node *node = replica->node;
    uint32_t all = (1u << node->config.replica_count) - 1;
    unsigned missed = 0;
    unsigned patience = MISSED_LOOKS;
    while (!atomic_load(&replica->ends) && !atomic_load(&replica->told)) {
        struct timespec pause = {.tv_nsec = WATCH_NS};
        struct tacit_status_report report;
        (void)nanosleep(&pause, NULL);
        tacit_replica_status(replica, &report);
        bool all_here = ((report.up | 1u << node->seat.id) & all) == all;
        missed = all_here ? 0 : missed + 1;
        patience = all_here ? MISSED_LOOKS : patience;
        if (missed >= patience) {
            missed = 0;
            patience = 2 * patience < MISSED_LOOKS_MAX ? 2 * patience : MISSED_LOOKS_MAX;
            atomic_store(&replica->told, tacit_standby_is_replaced(node));
        }
    }
    wake(replica);
    return NULL;
}

static void watch_begin(struct tacit_replica *replica)
{
    const struct tacit_config *config = &replica->node->config;
    const struct tacit_config_member *self =
        tacit_config_member(config, replica->node->file.role, replica->node->file.id);
    sigset_t all;
    sigset_t before;
    if (replica->runner.is_over == NULL) {
        return;
    }
    if (self->client == TACIT_CONFIG_NO_CLIENT) {
        if (config->spare_replica_count > 0) {
            tacit_log(TACIT_LOG_WARN, "unwatched",
                      "text=\"%s has no `client` in the cluster file: if a spare takes its seat "
                      "while it lives, it will not learn of it, nor ever come back\"",
                      replica->node->name);
        }
        return;
    }
    (void)sigfillset(&all); // signals are for other threads
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    replica->is_watched = pthread_create(&replica->watch, NULL, watch, replica) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void watch_end(struct tacit_replica *replica)
{
    atomic_store(&replica->ends, true);
    if (replica->is_watched) {
        (void)pthread_join(replica->watch, NULL);
    }
}

static enum tacit_status over_error(const struct tacit_replica *replica, struct tacit_error *error)
{
    const struct tacit_node *node = replica->node;
    char who[TACIT_CONFIG_NAME_BYTES + 16] = "another one";
    uint32_t body = tacit_incarnation_body(replica->successor);
    if (replica->successor == 0) {
        return tacit_error_set(
            error, TACIT_ECLOSED, 0,
            "%s is no member of the group any more, or was not let into the seat "
            "of replica %u",
            node->name, node->seat.id);
    }
    if (body == TACIT_BODY_VACANT) {
        return tacit_error_set(error, TACIT_ECLOSED, 0,
                               "%s was removed by an operator; `tacit member add %s` lets it come "
                               "back",
                               node->name, node->name);
    }
    tacit_config_node_name(body == 0 ? TACIT_CONFIG_REPLICA : TACIT_CONFIG_SPARE_REPLICA,
                           (uint16_t)(body == 0 ? node->seat.id : body), who);
    return tacit_error_set(error, TACIT_ECLOSED, 0,
                           "%s was replaced by %s; `tacit member add %s` lets it come back as a "
                           "spare",
                           node->name, who, node->name);
}

// ---- memory ------------------------------------------------------------------------------------

// What the system could still give without swapping; UINT64_MAX: not known.
static uint64_t available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t bytes = UINT64_MAX;
    while (file != NULL && bytes == UINT64_MAX && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "MemAvailable:", 13) == 0) {
            bytes = strtoull(line + 13, NULL, 10) * 1024; // kB
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static enum tacit_status no_memory(struct tacit_error *error, size_t bytes, uint64_t available)
{
    return tacit_error_set(
        error, TACIT_ENOMEM, errno,
        "this replica needs %zu MiB of memory besides its regions and the system "
        "has %llu MiB: lower memory.arena_bytes or limits in the cluster file, or "
        "use a larger machine (`tacit check` prints the memory of each node)",
        bytes >> 20, (unsigned long long)(available >> 20));
}

// What the provider will map for this replica's regions when everybody is connected.
static uint64_t region_bytes(const struct tacit_node *node)
{
    const struct tacit_host_layout *layout = &node->provider.layouts[TACIT_SHM_REPLICA];
    return layout->page_bytes + layout->state_bytes +
           (layout->control_bytes + layout->log_bytes) * node->config.replica_count +
           layout->requests_bytes * tacit_config_client_ids(&node->config);
}

// One mapping for everything, touched now: later there is nothing left that could fail.
static enum tacit_status take_memory(struct tacit_replica *replica, struct tacit_error *error)
{
    size_t bytes = tacit_smr_size(&replica->node->smr) + tacit_fd_size();
    uint64_t available = available_bytes();
    uint64_t all = bytes + region_bytes(replica->node);
    errno = ENOMEM;
    if (all > available) {
        return no_memory(error, all, available);
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return no_memory(error, all, available);
    }
    // In large pages, where they are to be had: one slot touches memory all over, and the processor
    // has to find each small page. A kernel before 5.14 cannot populate; there, tacit_smr_init()
    // touches it all.
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    (void)madvise(memory, bytes, MADV_POPULATE_WRITE);
    replica->memory = memory;
    replica->memory_bytes = bytes;
    return TACIT_OK;
}

// ---- open --------------------------------------------------------------------------------------

static enum tacit_status check_options(const struct tacit_replica_options *options,
                                       struct tacit_error *error)
{
    if (options->app == NULL || options->node_path == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "a replica needs a node file and an application");
    }
    if (options->app->version != TACIT_APP_VERSION) {
        return tacit_error_set(error, TACIT_EVERSION, 0,
                               "the application was built for interface version %u; this replica "
                               "runs version %u: build it again with the installed tacit/app.h",
                               options->app->version, TACIT_APP_VERSION);
    }
    if (options->app->init == NULL || options->app->apply == NULL || options->app->name == NULL) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "the application lacks a name, init() or apply()");
    }
    if (options->app_options != NULL && strlen(options->app_options) >= OPTIONS_BYTES) {
        return tacit_error_set(error, TACIT_ETOOBIG, 0,
                               "the application's options are longer than %u bytes",
                               OPTIONS_BYTES - 1);
    }
    return TACIT_OK;
}

static void set_up_detector(struct tacit_replica *replica)
{
    const struct tacit_smr_config *smr = &replica->node->smr;
    const struct tacit_config_timing *timing = &replica->node->config.timing;
    tacit_time_ns_t by_beats_ns = READ_TIMEOUT_BEATS * timing->beat_period_ns;
    struct tacit_fd_config config = {
        .replicas = smr->replicas,
        .self = smr->self,
        .beat_period_ns = smr->beat_period_ns,
        .period_max_ns = PERIODS_MAX * timing->beat_period_ns,
        .read_timeout_ns = smr->suspicion_ns > by_beats_ns ? smr->suspicion_ns : by_beats_ns,
        .grace_ns = GRACE_SUSPICIONS * smr->suspicion_ns,
    };
    char *behind = (char *)replica->memory + tacit_smr_size(smr);
    replica->fabric->ops->attach(replica->fabric, behind, tacit_fd_size());
    tacit_fd_init(&replica->fd, behind, &config, replica->fabric, tacit_shm_now_ns());
    replica->detector = tacit_fd_detector(replica->fd);
    tacit_smr_detector(replica->smr, &replica->detector);
}

static enum tacit_status open_control(struct tacit_replica *replica, const char *app,
                                      struct tacit_error *error)
{
    const struct tacit_node *node = replica->node;
    struct tacit_control_config config = {
        .path = node->status_path,
        .fixed = {.node = node->name,
                  .app = app,
                  .group = node->state.group,
                  .replicas = node->config.replica_count,
                  .memnodes = node->config.memnode_count,
                  .started_ns = tacit_shm_now_ns(),
                  .pid = (int32_t)getpid(),
                  .first_member = node->state.first_member},
        .publisher = &replica->publisher,
        .provider = &node->provider,
        .fabric = replica->fabric,
        .f = node->config.f,
    };
    return tacit_control_open(&config, &replica->control, error);
}

static void touch_nothing(struct tacit_app_host *host, const void *address, size_t bytes)
{
    (void)host;
    (void)address;
    (void)bytes;
}

// Lets the application lay out an arena that is thrown away, so that wrong options are found before
// this start is counted: a founding member has only one first start.
static enum tacit_status try_app(struct tacit_replica *replica, const struct tacit_app *app,
                                 struct tacit_error *error)
{
    size_t bytes = replica->node->smr.arena_bytes;
    void *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) {
        return no_memory(error, bytes, available_bytes());
    }
    struct tacit_app_host host = {.arena = arena, .arena_bytes = bytes, .touch = touch_nothing};
    enum tacit_status status = app->init(&host, replica->app_options, error);
    if (status == TACIT_OK && app->fini != NULL) {
        app->fini(&host);
    }
    (void)munmap(arena, bytes);
    return status;
}

// Byzantine mode: the pool wakes the fabric, so it comes after it.
static enum tacit_status open_signer(struct tacit_replica *replica, struct tacit_error *error)
{
    struct tacit_node *node = replica->node;
    if (node->smr.engine != TACIT_ENGINE_BYZANTINE) {
        return TACIT_OK;
    }
    enum tacit_status status = tacit_cluster_signer_open(
        &replica->signer, &node->config, &node->state.group, node->keypair, wake, replica, error);
    node->smr.byzantine.signer = replica->signer;
    return status;
}

// Crash mode's check of an operator's order. Protocol thread, seldom.
static bool order_holds(void *context, const uint8_t *order, uint32_t bytes,
                        const uint8_t signature[64])
{
    const struct tacit_node *node = context;
    struct tacit_digest cluster;
    struct tacit_scope scope;
    struct tacit_signature given;
    tacit_config_digest(&cluster, &node->config);
    tacit_scope_make(&scope, &node->state.group, &cluster);
    memcpy(given.bytes, signature, sizeof given.bytes);
    return tacit_signature_is_valid(&given, &node->config.operator_key, TACIT_DOMAIN_ORDER, &scope,
                                    order, bytes);
}

static tacit_time_ns_t clock_now(void *context)
{
    (void)context;
    return tacit_shm_now_ns();
}

// In the order in which things can fail without having done anything: files, memory, the start that
// is counted, the fabric.
static enum tacit_status open_parts(struct tacit_replica *replica,
                                    const struct tacit_replica_options *options,
                                    struct tacit_error *error)
{
    struct tacit_node *node = NULL;
    enum tacit_status status = tacit_node_load(&node, options->node_path, options->cluster_path,
                                               TACIT_CONFIG_REPLICA, error);
    if (status != TACIT_OK) {
        return status;
    }
    replica->node = node;
    tacit_log_name(node->name);
    if (options->unreplicated && node->smr.engine == TACIT_ENGINE_BYZANTINE) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "an unreplicated process is reached like one of `mode: crash`: make "
                               "a cluster file of that mode for it");
    }
    node->smr.engine = options->unreplicated ? TACIT_ENGINE_NONE : node->smr.engine;
    node->smr.app_options = replica->app_options;
    node->smr.draw = draw;
    node->smr.clock = clock_now;
    node->smr.seat_words = replica->seat_words;
    node->provider.seat_words = options->unreplicated ? NULL : replica->seat_words;
    node->smr.order_holds = node->config.has_operator_key ? order_holds : NULL;
    node->smr.order_context = node;
    replica->view.publisher = &replica->publisher;
    node->smr.view_words = &replica->view.words;
    node->smr.draw_context = &replica->draws;
    tacit_random_bytes(&replica->draws, sizeof replica->draws);
    // Checked with an incarnation that is not known yet: entering the directory counts a start.
    static struct tacit_signer later; // named, not used
    node->smr.byzantine.signer = &later;
    struct tacit_smr_config checked = node->smr;
    checked.self = 0;
    checked.incarnation = 1;
    status = tacit_smr_config_check(&checked, error);
    if (status == TACIT_OK) {
        status = take_memory(replica, error);
    }
    if (status == TACIT_OK) {
        status = try_app(replica, options->app, error);
    }
    static const volatile sig_atomic_t never = 0;
    if (status == TACIT_OK && tacit_standby_is_needed(node)) {
        status = tacit_provider_prepare(&node->provider, error);
    }
    if (status == TACIT_OK && tacit_standby_is_needed(node)) {
        status =
            tacit_standby_wait(node, options->stopped != NULL ? options->stopped : &never, error);
    }
    if (status == TACIT_OK) {
        status = tacit_node_enter(node, error);
    }
    if (status == TACIT_OK) {
        status = tacit_provider_open(&node->provider, &replica->fabric, error);
    }
    if (status == TACIT_OK) {
        status = open_signer(replica, error);
    }
    if (status == TACIT_OK) {
        status = tacit_smr_init(&replica->smr, replica->memory, &node->smr, replica->fabric,
                                options->app, NULL, tacit_shm_now_ns(), error);
    }
    if (status == TACIT_OK) {
        set_up_detector(replica);
        status = open_control(replica, options->app->name, error);
    }
    return status;
}

// In Byzantine mode every replica's answer is awaited, and the client awaits theirs. With fabric
// shm all of them are on this machine; with verbs as many as share this replica's address.
static uint32_t replicas_here(const struct tacit_config *config,
                              const struct tacit_config_member *self)
{
    uint32_t count = self->id > 0 && self != &config->replicas[self->id] ? 1 : 0; // a spare
    for (uint32_t i = 0; i < config->replica_count; i++) {
        count += strcmp(config->replicas[i].host, self->host) == 0;
    }
    return count;
}

static bool is_crowded(const struct tacit_node *node)
{
    return tacit_waiting_is_crowded(replicas_here(
        &node->config, tacit_config_member(&node->config, node->file.role, node->file.id)));
}

// A request keeps all replicas' threads busy, and each awaits the others.
static bool awaits_all(const struct tacit_replica *replica)
{
    return replica->node->smr.engine == TACIT_ENGINE_BYZANTINE;
}

static bool has_rank(const struct tacit_replica *replica)
{
    return !replica->runner.is_crowded || !awaits_all(replica);
}

enum tacit_status tacit_replica_open(const struct tacit_replica_options *options,
                                     struct tacit_replica **out, struct tacit_error *error)
{
    enum tacit_status status = check_options(options, error);
    if (status != TACIT_OK) {
        return status;
    }
    struct tacit_replica *replica = calloc(1, sizeof *replica);
    if (replica == NULL) {
        return tacit_error_set(error, TACIT_ENOMEM, 0, "no memory for a replica");
    }
    if (options->app_options != NULL) {
        (void)snprintf(replica->app_options, sizeof replica->app_options, "%s",
                       options->app_options);
    }
    replica->started = options->started;
    replica->context = options->context;
    status = open_parts(replica, options, error);
    if (status != TACIT_OK) {
        tacit_replica_close(replica);
        return status;
    }
    replica->runner = (struct tacit_runner){.fabric = replica->fabric,
                                            .smr = replica->smr,
                                            .fd = replica->fd,
                                            .waiting = replica->node->config.waiting,
                                            .now_ns = tacit_shm_now_ns,
                                            .publisher = &replica->publisher,
                                            .view_words = &replica->view.words,
                                            .changed = changed,
                                            .settled = settled,
                                            .is_over = options->unreplicated ? NULL : is_over,
                                            .context = replica,
                                            .is_crowded = is_crowded(replica->node),
                                            .looks = tacit_waiting_looks(awaits_all(replica))};
    replica->runner.signer = replica->runner.is_crowded ? replica->signer : NULL;
    *out = replica;
    return TACIT_OK;
}

// ---- run ---------------------------------------------------------------------------------------

// A core of its own, if the cluster file has one for each replica.
static void pin(const struct tacit_node *node)
{
    const struct tacit_config *config = &node->config;
    cpu_set_t cores;
    if (node->seat.id >= config->core_count) {
        return;
    }
    CPU_ZERO(&cores);
    CPU_SET(config->cores[node->seat.id], &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
        tacit_log(TACIT_LOG_WARN, "core", "core=%u text=\"cannot be used: %s\"",
                  config->cores[node->seat.id], strerror(errno));
    }
}

// Followers and candidates need little time, but at once when the leader dies: then the processors
// are taken by its remains and by everybody who noticed. Not to be allowed this is no error.
static void ask_for_rank(int gain)
{
    id_t thread = (id_t)syscall(SYS_gettid);
    (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) - gain);
}

enum tacit_status tacit_replica_run(struct tacit_replica *replica, struct tacit_error *error)
{
    enum tacit_status status =
        tacit_provider_attach(&replica->node->provider, replica->fabric, error);
    if (status != TACIT_OK) {
        return status;
    }
    pin(replica->node);
    if (has_rank(replica)) {
        ask_for_rank(NICE_GAIN);
    }
    tacit_log(TACIT_LOG_INFO, "start", "incarnation=%u seat=%u first_member=%s memory_mib=%zu",
              replica->node->provider.incarnation, replica->node->seat.id,
              replica->node->state.first_member ? "yes" : "no", replica->memory_bytes >> 20);
    if (replica->node->smr.engine == TACIT_ENGINE_BYZANTINE && !replica->node->state.first_member) {
        tacit_log(TACIT_LOG_WARN, "waits",
                  "text=\"this replica was restarted and remembers nothing: it votes, answers and "
                  "counts for nothing until an epoch of the group begins with it as a member\"");
    }
    if (replica->started != NULL) {
        replica->started(replica->context);
    }
    replica->started_ns = tacit_shm_now_ns();
    watch_begin(replica);
    tacit_runner_run(&replica->runner);
    watch_end(replica);
    if (has_rank(replica)) {
        ask_for_rank(-NICE_GAIN); // it may stand by next
    }
    if (replica->is_over) {
        status = over_error(replica, error);
        tacit_log(TACIT_LOG_WARN, "over", "text=\"%s\"", error->text);
    }
    tacit_log(TACIT_LOG_INFO, "stop", "turns=%llu", (unsigned long long)replica->runner.turns);
    return status;
}

void tacit_replica_stop(struct tacit_replica *replica)
{
    atomic_store(&replica->runner.stop, true);
    wake(replica);
}

void tacit_replica_status(struct tacit_replica *replica, struct tacit_status_report *report)
{
    struct tacit_published published;
    (void)tacit_publish_read(&replica->publisher, &published);
    *report = published.report;
}

struct tacit_view_source *tacit_replica_view_source(struct tacit_replica *replica)
{
    return &replica->view;
}

void tacit_replica_close(struct tacit_replica *replica)
{
    if (replica == NULL) {
        return;
    }
    tacit_control_close(replica->control);
    if (replica->smr != NULL) {
        tacit_smr_fini(replica->smr);
    }
    tacit_signer_pool_close(replica->signer);
    if (replica->fabric != NULL) {
        tacit_provider_close(&replica->node->provider, replica->fabric);
    }
    if (replica->memory != NULL) {
        (void)munmap(replica->memory, replica->memory_bytes);
    }
    tacit_node_free(replica->node);
    free(replica);
}
