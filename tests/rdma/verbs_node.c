// SPDX-License-Identifier: Apache-2.0
//
// A process that runs a node of the RDMA provider; see verbs_node.h. The attacks go around the
// checks that the provider makes for its own process, with the keys that this process was told, so
// that what refuses them is the device of the host.
#include "verbs_node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "verbs/internal.h"

#define FIRST_PORT 7400u
#define IDLE_NS 200000
#define PATIENCE_NS UINT64_C(20000000000)
#define FLOOD_BYTES 2048u
#define FLOOD_DEPTH 32u

struct node {
    struct conf_process_node process; // first
    struct {
        bool on;
        tacit_node_t host;
        uint64_t posted;
        uint64_t bytes[FLOOD_DEPTH][FLOOD_BYTES / 8];
        struct ibv_mr *mr;
    } flood;
};

// ---- raw operations
// -----------------------------------------------------------------------------------

struct raw {
    tacit_node_t host;
    unsigned plane;
    enum ibv_wr_opcode opcode;
    uint64_t address;
    uint32_t rkey;
    struct ibv_sge sge;
    bool is_inline;
};

// Posts as the provider does, but for its checks. *index: its place in the plane's ring.
static bool raw_post(struct node *node, const struct raw *raw, uint32_t *index)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), raw->host);
    if (link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
        return false;
    }
    struct verbs_plane *plane = &link->plane[raw->plane];
    (void)pthread_mutex_lock(&link->lock);
    tacit_verbs_plane_flush(tacit_verbs_of(node->process.fabric), plane);
    bool posted =
        plane->state == TACIT_VERBS_PLANE_OPEN && plane->next - plane->first < TACIT_VERBS_OPS / 2;
    if (posted) {
        struct ibv_sge sge = raw->sge;
        struct ibv_send_wr *bad;
        struct ibv_send_wr work = {
            .wr_id = (uint64_t)plane->epoch << 32 | plane->next,
            .sg_list = &sge,
            .num_sge = 1,
            .opcode = raw->opcode,
            .send_flags = IBV_SEND_SIGNALED | (raw->is_inline ? (unsigned)IBV_SEND_INLINE : 0),
            .wr.rdma = {.remote_addr = raw->address, .rkey = raw->rkey},
        };
        posted = ibv_post_send(plane->qp, &work, &bad) == 0;
    }
    if (posted) {
        *index = plane->next;
        plane->ops[plane->next++ % TACIT_VERBS_OPS] = (struct verbs_op){.silent = true};
    }
    (void)pthread_mutex_unlock(&link->lock);
    return posted;
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = IDLE_NS}, NULL);
}

// One raw operation and its result.
static enum tacit_completion raw_try(struct node *node, const struct raw *raw)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), raw->host);
    struct verbs_plane *plane = &link->plane[raw->plane];
    uint64_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    uint32_t index;
    while (!raw_post(node, raw, &index)) {
        (void)conf_agent_turn(&node->process.agent);
        if (tacit_verbs_now_ns() > until_ns) {
            (void)fprintf(stderr, "a plane did not come back\n");
            abort(); // the test would prove nothing
        }
        pause_shortly();
    }
    for (;;) {
        (void)pthread_mutex_lock(&link->lock);
        (void)tacit_verbs_harvest(tacit_verbs_of(node->process.fabric), plane);
        const struct verbs_op *op = &plane->ops[index % TACIT_VERBS_OPS];
        bool ended = op->state == TACIT_VERBS_OP_ENDED;
        enum tacit_completion status = op->status;
        (void)pthread_mutex_unlock(&link->lock);
        if (ended) {
            return status;
        }
        if (tacit_verbs_now_ns() > until_ns) {
            (void)fprintf(stderr, "a raw operation did not end\n");
            abort();
        }
        pause_shortly();
    }
}

static bool raw_write(struct node *node, tacit_node_t host, unsigned plane, uint64_t address,
                      uint32_t rkey)
{
    uint64_t word = 0x6861726d66756cu;
    struct raw raw = {.host = host,
                      .plane = plane,
                      .opcode = IBV_WR_RDMA_WRITE,
                      .address = address,
                      .rkey = rkey,
                      .sge = {.addr = (uintptr_t)&word, .length = sizeof(word)},
                      .is_inline = true};
    return raw_try(node, &raw) == TACIT_COMPLETION_OK;
}

static bool raw_read(struct node *node, tacit_node_t host, unsigned plane, uint64_t address,
                     uint32_t rkey)
{
    struct tacit_verbs *v = tacit_verbs_of(node->process.fabric);
    struct raw raw = {.host = host,
                      .plane = plane,
                      .opcode = IBV_WR_RDMA_READ,
                      .address = address,
                      .rkey = rkey,
                      .sge = {.addr = (uintptr_t)node->process.agent.memory.read,
                              .length = 8,
                              .lkey = v->attached[0]->lkey}};
    return raw_try(node, &raw) == TACIT_COMPLETION_OK;
}

// ---- attacks
// ------------------------------------------------------------------------------------------

static bool region_of(struct node *node, tacit_node_t host, uint8_t region_class, bool own,
                      struct verbs_region_entry *out)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), host);
    bool found = false;
    (void)pthread_mutex_lock(&link->directory_lock);
    for (unsigned i = 0; i < TACIT_VERBS_DIRECTORY && !found; i++) {
        const struct verbs_entry *entry = &link->directory[i];
        found = entry->used && entry->entry.region_class == region_class &&
                entry->entry.is_receivers == own;
        *out = entry->entry;
    }
    (void)pthread_mutex_unlock(&link->directory_lock);
    return found;
}

// Writes that the registration, or the flags of the queue pair, have to refuse.
static uint64_t attack_regions(struct node *node, tacit_node_t host, uint64_t *tried)
{
    const struct {
        uint8_t region_class;
        bool own;
        bool planes[TACIT_PLANES];
        uint64_t bit;
    } targets[] = {
        {TACIT_REGION_LOG, true, {true, false}, VERBS_WROTE_OWN_LOG},
        {TACIT_REGION_LOG, true, {false, true}, VERBS_WROTE_LOG_ASIDE},
        {TACIT_REGION_PAGE, false, {true, true}, VERBS_WROTE_PAGE},
        {TACIT_REGION_STATE, false, {true, true}, VERBS_WROTE_STATE},
        {TACIT_REGION_LOG, false, {true, true}, VERBS_WROTE_FOREIGN_LOG},
    };
    uint64_t done = 0;
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct verbs_region_entry region;
        if (!region_of(node, host, targets[i].region_class, targets[i].own, &region)) {
            continue;
        }
        *tried |= targets[i].bit;
        for (unsigned p = 0; p < TACIT_PLANES; p++) {
            if (targets[i].planes[p] &&
                raw_write(node, host, p, region.address + 2048 % region.bytes, region.rkey[p])) {
                done |= targets[i].bit;
            }
        }
    }
    return done;
}

// With the keys of a region that this process may write: beyond it, on the other plane, with other
// keys.
static uint64_t attack_keys(struct node *node, tacit_node_t host, uint64_t *tried)
{
    const unsigned p = TACIT_PLANE_BACKGROUND;
    struct verbs_region_entry own;
    uint64_t done = 0;
    if (!region_of(node, host, TACIT_REGION_CONTROL, true, &own) &&
        !region_of(node, host, TACIT_REGION_REQUESTS, true, &own)) {
        return 0;
    }
    *tried |= VERBS_CROSSED_PLANES | VERBS_WENT_OUT_OF_BOUNDS | VERBS_GUESSED_KEY;
    if (!raw_write(node, host, p, own.address, own.rkey[p])) {
        (void)fprintf(stderr, "what is allowed was refused: the attacks prove nothing\n");
        abort();
    }
    if (raw_write(node, host, p, own.address, own.rkey[TACIT_PLANE_DATA])) {
        done |= VERBS_CROSSED_PLANES;
    }
    if (raw_write(node, host, p, own.address + own.bytes, own.rkey[p]) ||
        raw_write(node, host, p, own.address - 8, own.rkey[p])) {
        done |= VERBS_WENT_OUT_OF_BOUNDS;
    }
    for (uint32_t k = 1; k <= 4;
         k++) { // keys of neighbours differ by small numbers, in index or in variant
        for (uint32_t shift = 0; shift <= 8; shift += 8) {
            if (raw_write(node, host, p, own.address, own.rkey[p] + (k << shift)) ||
                raw_write(node, host, p, own.address, own.rkey[p] - (k << shift))) {
                done |= VERBS_GUESSED_KEY;
            }
        }
    }
    return done;
}

static uint64_t attack_bells(struct node *node, tacit_node_t host, uint64_t *tried)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), host);
    const unsigned p = TACIT_PLANE_BACKGROUND;
    const struct verbs_plane *plane = &link->plane[p];
    uint64_t done = 0;
    *tried |= VERBS_RANG_FOR_OTHERS | VERBS_READ_BELLS;
    if (raw_write(node, host, p, plane->bell_address + sizeof(struct verbs_bells),
                  plane->bell_rkey) ||
        raw_write(node, host, p, plane->bell_address - 8, plane->bell_rkey)) {
        done |= VERBS_RANG_FOR_OTHERS;
    }
    if (raw_read(node, host, p, plane->bell_address, plane->bell_rkey)) {
        done |= VERBS_READ_BELLS;
    }
    return done;
}

static uint64_t attack_data_plane(struct node *node, tacit_node_t host, uint64_t *tried)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), host);
    struct verbs_region_entry log;
    if (!region_of(node, host, TACIT_REGION_LOG, true, &log)) {
        return 0;
    }
    *tried |= VERBS_DISTURBED;
    const struct verbs_plane *aside = &link->plane[TACIT_PLANE_BACKGROUND];
    uint64_t unused = aside->bell_address + offsetof(struct verbs_bells, unused);
    if (!raw_write(node, host, TACIT_PLANE_BACKGROUND, unused, aside->bell_rkey)) {
        (void)fprintf(stderr, "the background plane does not work\n"); // back from earlier attacks
        abort();
    }
    uint32_t epoch = link->plane[TACIT_PLANE_BACKGROUND].epoch;
    for (unsigned i = 0; i < 3; i++) { // beyond the region: refused to the holder too
        (void)raw_write(node, host, TACIT_PLANE_DATA, log.address + log.bytes, log.rkey[0]);
    }
    return link->plane[TACIT_PLANE_BACKGROUND].epoch == epoch ? 0 : VERBS_DISTURBED;
}

static bool queue_fails(struct ibv_qp *qp)
{
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    return qp != NULL && ibv_modify_qp(qp, &attr, IBV_QP_STATE) == 0;
}

static void attack(struct node *node, const struct conf_request *request, struct conf_reply *reply)
{
    struct verbs_link *link = tacit_verbs_link(tacit_verbs_of(node->process.fabric), request->host);
    memset(reply, 0, sizeof(*reply));
    reply->ok = link != NULL && atomic_load(&link->state) == TACIT_VERBS_LINK_UP;
    if (!reply->ok) {
        return;
    }
    switch (request->bytes) {
    case VERBS_ATTACK_ALL:
        reply->value = attack_data_plane(node, request->host, &reply->value2) |
                       attack_regions(node, request->host, &reply->value2) |
                       attack_keys(node, request->host, &reply->value2) |
                       attack_bells(node, request->host, &reply->value2);
        break;
    case VERBS_ATTACK_FLOOD:
        node->flood.on = true;
        node->flood.host = request->host;
        break;
    case VERBS_ATTACK_FAIL_OWN:
        (void)pthread_mutex_lock(&link->lock);
        reply->ok = queue_fails(link->plane[TACIT_PLANE_DATA].qp);
        (void)pthread_mutex_unlock(&link->lock);
        break;
    case VERBS_ATTACK_FAIL_HOST: // nothing else makes the control thread touch it at this moment
        reply->ok = queue_fails(link->host[TACIT_PLANE_DATA].qp);
        break;
    default:
        node->flood.on = false;
        reply->value = node->flood.posted;
    }
}

// Writes that differ each time, so that any of them shows wherever it lands.
static bool flood_turn(struct conf_process_node *process)
{
    struct node *node = (struct node *)process;
    struct tacit_verbs *v = tacit_verbs_of(node->process.fabric);
    struct verbs_region_entry log;
    bool posted = false;
    if (!node->flood.on || !region_of(node, node->flood.host, TACIT_REGION_LOG, true, &log)) {
        return false;
    }
    if (node->flood.mr == NULL) {
        node->flood.mr = ibv_reg_mr(v->pd, node->flood.bytes, sizeof(node->flood.bytes), 0);
    }
    for (unsigned i = 0; i < FLOOD_DEPTH / 2; i++) {
        uint64_t number = node->flood.posted + 1;
        uint64_t *bytes = node->flood.bytes[number % FLOOD_DEPTH];
        for (unsigned k = 0; k < FLOOD_BYTES / 8; k++) {
            bytes[k] = number;
        }
        struct raw raw = {
            .host = node->flood.host,
            .plane = TACIT_PLANE_DATA,
            .opcode = IBV_WR_RDMA_WRITE,
            .address = log.address + number * FLOOD_BYTES % log.bytes,
            .rkey = log.rkey[TACIT_PLANE_DATA],
            .sge = {.addr = (uintptr_t)bytes, .length = FLOOD_BYTES, .lkey = node->flood.mr->lkey}};
        uint32_t index;
        if (!raw_post(node, &raw, &index)) {
            break;
        }
        node->flood.posted = number;
        posted = true;
    }
    return posted;
}

// ---- the node
// -----------------------------------------------------------------------------------------

// A post that is refused while the host is up is tried again, as the contract says: the queue may
// be full, a plane may be coming back.
static void node_post(struct node *node, const struct conf_request *request,
                      struct conf_reply *reply)
{
    uint64_t until_ns = tacit_verbs_now_ns() + PATIENCE_NS;
    do {
        conf_agent_execute(&node->process.agent, request, reply);
        struct verbs_link *link =
            tacit_verbs_link(tacit_verbs_of(node->process.fabric), request->op.host);
        if (reply->ok || link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
            return;
        }
        if (!conf_agent_turn(&node->process.agent)) {
            pause_shortly();
        }
    } while (tacit_verbs_now_ns() < until_ns);
}

static bool node_answer(struct conf_process_node *process, const struct conf_request *request,
                        struct conf_reply *reply)
{
    struct node *node = (struct node *)process;
    if (request->call == CONF_ATTACK) {
        attack(node, request, reply);
    } else if (request->call == CONF_POST) {
        node_post(node, request, reply);
    }
    return request->call == CONF_ATTACK || request->call == CONF_POST;
}

static void node_close(struct conf_process_node *process)
{
    tacit_verbs_close(process->fabric);
}

static bool key_of(void *context, enum tacit_verbs_kind kind, uint16_t id,
                   tacit_incarnation_t incarnation, struct tacit_public_key *key)
{
    (void)context;
    (void)incarnation;
    conf_node_public_key(key, kind, id);
    return true;
}

static void report(void *context, enum tacit_verbs_report_kind kind, const char *text)
{
    const struct conf_node *what = context;
    if (getenv("TACIT_TEST_VERBOSE") != NULL) {
        (void)fprintf(stderr, "# node %u, report %d: %s\n", what->name, (int)kind, text);
    }
}

static void configure(struct tacit_verbs_config *config, struct conf_node *what)
{
    static struct tacit_verbs_peer peers[CONF_REPLICAS + 1];
    static struct tacit_keypair keypair;
    const char *address = getenv("TACIT_RDMA_ADDRESS");
    address = address == NULL ? "10.0.0.1" : address;
    memset(config, 0, sizeof(*config));
    config->kind = (enum tacit_verbs_kind)conf_node_kind(what->name, &config->id);
    config->incarnation = what->incarnation;
    config->address = address;
    config->port = config->kind == TACIT_VERBS_CLIENT ? 0 : (uint16_t)(FIRST_PORT + what->name);
    for (unsigned i = 0; i <= CONF_REPLICAS; i++) {
        tacit_node_t node = (tacit_node_t)(i < CONF_REPLICAS ? i : CONF_MEMNODE);
        peers[i] = (struct tacit_verbs_peer){
            .node = node, .address = address, .port = (uint16_t)(FIRST_PORT + node)};
    }
    config->peers = peers;
    config->peers_count = CONF_REPLICAS + 1;
    memcpy(config->layouts, conf_layouts, sizeof(config->layouts));
    if (getenv("TACIT_TEST_REGISTERS") != NULL) { // as in Byzantine mode
        config->layouts[TACIT_VERBS_MEMNODE] =
            (struct tacit_host_layout){.registers_bytes = VERBS_REGISTERS_BYTES};
    }
    memset(config->group.bytes, 0x47, sizeof(config->group.bytes));
    memset(config->cluster.bytes, 0x43, sizeof(config->cluster.bytes));
    conf_node_keypair(&keypair, config->kind, config->id);
    config->keypair = &keypair;
    config->key_of = key_of;
    config->report = report;
    config->context = what;
    config->handshakes = 16;
    config->handshake_timeout_ns = 20000000000u; // emulation is slow
    config->silence_ns = 1000000000u;
}

_Noreturn void verbs_node_main(const struct conf_processes *all, struct conf_node what, int socket,
                               pid_t parent)
{
    static struct node node = {.process = {.idle_ns = IDLE_NS,
                                           .now_ns = tacit_verbs_now_ns,
                                           .answer = node_answer,
                                           .turn = flood_turn,
                                           .close = node_close}};
    static struct conf_node self; // reports name it
    struct tacit_verbs_config config;
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
    (void)all;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)signal(signals[i], SIG_DFL); // the test's handlers would go on with the test in here
    }
    struct tacit_error error = {.text = ""};
    self = what;
    bool ok = tacit_crypto_init(&error) == TACIT_OK;
    if (ok) {
        configure(&config, &self);
        ok = tacit_verbs_open(&config, &node.process.fabric, &error) == TACIT_OK;
    }
    if (!ok) {
        (void)fprintf(stderr, "node %u: %s\n", what.name, error.text);
    }
    conf_process_serve(&node.process, socket, ok);
}
