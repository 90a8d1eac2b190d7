// SPDX-License-Identifier: Apache-2.0
//
// Pull-score failure detection; the rules and their reasons are in tacit/fd.h.
#include "tacit/fd.h"

#include <assert.h>
#include <string.h>

#include "tacit/layout.h"

#define SCORE_FIRST TACIT_FD_SCORE_MAX // of the first incarnation seen
#define BEAT_BYTES 16u                 // beats and the period beside them

static_assert(TACIT_PAGE_BEAT_PERIOD_NS == TACIT_PAGE_BEATS + 8u, "read together");

enum peer_state {
    PEER_ABSENT = 0, // never connected
    PEER_UP,
    PEER_AWAY, // connection lost; may be alive
    PEER_DEAD, // known for certain, until a larger incarnation comes up
};

struct peer {
    uint64_t words[BEAT_BYTES / 8]; // where reads land
    uint64_t beats;
    tacit_time_ns_t next_ns;  // of the next read, or of the next interval without a connection
    tacit_time_ns_t asked_ns; // when the read under way was posted
    tacit_time_ns_t interval_ns;
    uint32_t serial; // of the read under way, in its cookie
    tacit_incarnation_t incarnation;
    enum peer_state state;
    uint8_t score;
    bool trusted;
    bool suspected; // lost its trust in this incarnation, alive as far as known
    bool reading;
    bool is_known; // `beats` is of this incarnation
};

struct tacit_fd {
    struct peer peers[TACIT_REPLICAS_MAX];
    struct tacit_fd_config config;
    struct tacit_fabric *fabric;
    struct tacit_fd_counters counters;
    tacit_time_ns_t grace_end_ns;
    tacit_time_ns_t polled_ns;
    tacit_time_ns_t due_ns;  // nothing to do before, unless an event comes
    tacit_time_ns_t wake_ns; // who sleeps need not be awake before
    uint32_t told_trusted, told_dead;
    bool has_told;
};

size_t tacit_fd_size(void)
{
    return (sizeof(struct tacit_fd) + TACIT_CACHE_LINE - 1) / TACIT_CACHE_LINE * TACIT_CACHE_LINE;
}

void tacit_fd_init(struct tacit_fd **fd, void *memory, const struct tacit_fd_config *config,
                   struct tacit_fabric *fabric, tacit_time_ns_t now_ns)
{
    struct tacit_fd *made = memory;
    memset(made, 0, sizeof *made);
    made->config = *config;
    made->fabric = fabric;
    made->grace_end_ns = now_ns + config->grace_ns;
    made->polled_ns = now_ns;
    for (uint32_t r = 0; r < config->replicas; r++) {
        made->peers[r].trusted = true;
        made->peers[r].interval_ns = 2 * config->beat_period_ns;
    }
    *fd = made;
}

// ---- score -------------------------------------------------------------------------------------

static void set_score(struct tacit_fd *fd, struct peer *peer, uint32_t score)
{
    peer->score = (uint8_t)score;
    if (peer->trusted && score < TACIT_FD_SUSPECT_BELOW) {
        peer->trusted = false;
        peer->suspected = true;
        fd->counters.suspicions++;
    } else if (!peer->trusted && score > TACIT_FD_TRUST_ABOVE) {
        fd->counters.false_suspicions += peer->suspected;
        peer->trusted = true;
        peer->suspected = false;
    }
}

static void raise_score(struct tacit_fd *fd, struct peer *peer)
{
    set_score(fd, peer, peer->score < TACIT_FD_SCORE_MAX ? peer->score + 1u : peer->score);
}

static void lower_score(struct tacit_fd *fd, struct peer *peer)
{
    fd->counters.missed++;
    set_score(fd, peer, peer->score > 0 ? peer->score - 1u : 0);
}

// ---- events ------------------------------------------------------------------------------------

static void on_up(struct tacit_fd *fd, struct peer *peer, const struct tacit_event *event,
                  tacit_time_ns_t now_ns)
{
    bool is_first = peer->state == PEER_ABSENT;
    bool is_new = is_first || event->incarnation != peer->incarnation;
    if (peer->state == PEER_DEAD && event->incarnation <= peer->incarnation) {
        return; // the dead do not come back; the provider refuses such a one, too
    }
    peer->state = PEER_UP;
    peer->incarnation = event->incarnation;
    peer->next_ns = now_ns;
    peer->interval_ns = 2 * fd->config.beat_period_ns;
    peer->is_known = peer->is_known && !is_new;
    if (is_first) {
        peer->score = SCORE_FIRST;
        peer->trusted = true;
    } else if (is_new) {
        peer->score = 0;
        peer->trusted = peer->suspected = false;
    }
}

static void on_down(struct tacit_fd *fd, struct peer *peer, const struct tacit_event *event,
                    tacit_time_ns_t now_ns)
{
    if (event->incarnation < peer->incarnation) {
        return;
    }
    peer->incarnation = event->incarnation;
    if (event->certain) {
        peer->state = PEER_DEAD;
        peer->score = 0;
        peer->trusted = peer->suspected = false;
        fd->counters.deaths++;
    } else if (peer->state == PEER_UP) {
        peer->state = PEER_AWAY;
        peer->next_ns = now_ns + peer->interval_ns;
        if (event->hung_up && peer->score > TACIT_FD_SCORE_HUNG_UP) {
            set_score(fd, peer, TACIT_FD_SCORE_HUNG_UP);
        }
    }
}

static void on_read(struct tacit_fd *fd, struct peer *peer, const struct tacit_event *event,
                    tacit_time_ns_t now_ns)
{
    if (!peer->reading || (uint32_t)(TACIT_COOKIE_VALUE(event->cookie) >> 8) != peer->serial) {
        return;
    }
    peer->reading = false;
    if (event->status != TACIT_COMPLETION_OK || peer->state != PEER_UP) {
        peer->next_ns = now_ns + peer->interval_ns; // a DOWN tells why
        return;
    }
    uint64_t beats = peer->words[0];
    uint64_t period_ns = peer->words[1];
    uint64_t bound_ns = fd->config.period_max_ns;
    if (period_ns == 0) {
        period_ns = fd->config.beat_period_ns; // not published yet
    }
    peer->interval_ns = 2 * (period_ns < bound_ns ? period_ns : bound_ns);
    peer->next_ns = now_ns + peer->interval_ns;
    if (!peer->is_known) {
        peer->is_known = true; // something to compare with from now on
    } else if (beats != peer->beats) {
        raise_score(fd, peer);
    } else {
        lower_score(fd, peer);
    }
    peer->beats = beats;
}

static void on_event(void *context, const struct tacit_event *event, tacit_time_ns_t now_ns)
{
    struct tacit_fd *fd = context;
    uint64_t node = event->node;
    if (event->kind == TACIT_EVENT_COMPLETION) {
        node = TACIT_COOKIE_VALUE(event->cookie) & 0xffu;
    }
    if (node >= fd->config.replicas || node == fd->config.self) {
        return;
    }
    struct peer *peer = &fd->peers[node];
    fd->due_ns = fd->wake_ns = 0;
    switch (event->kind) {
    case TACIT_EVENT_UP:
        on_up(fd, peer, event, now_ns);
        break;
    case TACIT_EVENT_DOWN:
        on_down(fd, peer, event, now_ns);
        break;
    case TACIT_EVENT_COMPLETION:
        on_read(fd, peer, event, now_ns);
        break;
    default:
        break;
    }
}

// ---- turn --------------------------------------------------------------------------------------

static void ask(struct tacit_fd *fd, tacit_node_t node, struct peer *peer, tacit_time_ns_t now_ns)
{
    struct tacit_region_key key = {
        .region_class = TACIT_REGION_PAGE, .owner = node, .incarnation = peer->incarnation};
    int32_t region = fd->fabric->ops->region(fd->fabric, node, key);
    uint32_t serial = peer->serial + 1;
    struct tacit_op op = {.kind = TACIT_OP_READ,
                          .plane = TACIT_PLANE_BACKGROUND,
                          .host = node,
                          .region = region,
                          .bytes = BEAT_BYTES,
                          .offset = TACIT_PAGE_BEATS,
                          .local = peer->words,
                          .cookie = TACIT_COOKIE(TACIT_COOKIE_FD, (uint64_t)serial << 8 | node)};
    if (region < 0 || !fd->fabric->ops->post(fd->fabric, &op)) {
        peer->next_ns = now_ns + fd->config.beat_period_ns; // not announced yet, or a full queue
        return;
    }
    fd->counters.reads++;
    peer->serial = serial;
    peer->reading = true;
    peer->asked_ns = now_ns;
}

static void turn_of(struct tacit_fd *fd, tacit_node_t node, tacit_time_ns_t now_ns)
{
    struct peer *peer = &fd->peers[node];
    switch (peer->state) {
    case PEER_ABSENT:
        if (peer->trusted && now_ns >= fd->grace_end_ns) {
            peer->trusted = false;
        }
        break;
    case PEER_UP:
        if (peer->reading) {
            if (now_ns - peer->asked_ns > fd->config.read_timeout_ns) {
                fd->counters.time_outs++;
                peer->asked_ns = now_ns; // again after as long, should reset() not help
                set_score(fd, peer, 0);
                fd->fabric->ops->reset(fd->fabric, node);
            }
        } else if (now_ns >= peer->next_ns) {
            ask(fd, node, peer, now_ns);
        }
        break;
    case PEER_AWAY:
        if (now_ns >= peer->next_ns) {
            peer->next_ns = now_ns + peer->interval_ns;
            lower_score(fd, peer);
        }
        break;
    case PEER_DEAD:
        break;
    }
}

// How much longer a sleeper may leave a read that is due alone. A peer whose beats are rare says
// that nothing happens; then reads wait for this replica's own beats, which come as often, instead
// of being wake-ups of their own. Whoever is awake reads in time.
static tacit_time_ns_t patience(const struct tacit_fd *fd, const struct peer *peer)
{
    return peer->interval_ns > 2 * fd->config.beat_period_ns ? peer->interval_ns / 2 : 0;
}

static void find_due(struct tacit_fd *fd)
{
    fd->due_ns = fd->wake_ns = UINT64_MAX;
    for (uint32_t r = 0; r < fd->config.replicas; r++) {
        const struct peer *peer = &fd->peers[r];
        tacit_time_ns_t at_ns = UINT64_MAX;
        tacit_time_ns_t more_ns = 0;
        if (r == fd->config.self || peer->state == PEER_DEAD) {
            continue;
        }
        if (peer->state == PEER_ABSENT) {
            at_ns = peer->trusted ? fd->grace_end_ns : UINT64_MAX;
        } else if (peer->state == PEER_UP && peer->reading) {
            at_ns = peer->asked_ns + fd->config.read_timeout_ns + 1;
        } else {
            at_ns = peer->next_ns;
            more_ns = peer->state == PEER_UP && peer->trusted ? patience(fd, peer) : 0;
        }
        fd->due_ns = at_ns < fd->due_ns ? at_ns : fd->due_ns;
        fd->wake_ns = at_ns + more_ns < fd->wake_ns ? at_ns + more_ns : fd->wake_ns;
    }
}

static bool on_poll(void *context, tacit_time_ns_t now_ns, uint32_t *trusted, uint32_t *dead)
{
    struct tacit_fd *fd = context;
    tacit_time_ns_t gap_ns = now_ns - fd->polled_ns;
    uint32_t trusted_now = 1u << fd->config.self;
    uint32_t dead_now = 0;
    fd->polled_ns = now_ns;
    if (now_ns < fd->due_ns && gap_ns <= fd->config.read_timeout_ns / 4) {
        *trusted = fd->told_trusted;
        *dead = fd->told_dead;
        return false;
    }
    for (tacit_node_t r = 0; r < fd->config.replicas; r++) {
        struct peer *peer = &fd->peers[r];
        if (r == fd->config.self) {
            continue;
        }
        if (peer->reading && gap_ns > fd->config.read_timeout_ns / 4) {
            peer->asked_ns += gap_ns; // this process did not run: the answer may wait in a queue
        }
        turn_of(fd, r, now_ns);
        trusted_now |= peer->trusted ? 1u << r : 0;
        dead_now |= peer->state == PEER_DEAD ? 1u << r : 0;
    }
    find_due(fd);
    bool changed = !fd->has_told || trusted_now != fd->told_trusted || dead_now != fd->told_dead;
    fd->has_told = true;
    fd->told_trusted = *trusted = trusted_now;
    fd->told_dead = *dead = dead_now;
    return changed;
}

static tacit_time_ns_t on_deadline(void *context)
{
    const struct tacit_fd *fd = context;
    return fd->wake_ns;
}

struct tacit_detector tacit_fd_detector(struct tacit_fd *fd)
{
    return (struct tacit_detector){
        .context = fd, .event = on_event, .poll = on_poll, .deadline = on_deadline};
}

uint32_t tacit_fd_score(const struct tacit_fd *fd, tacit_node_t replica)
{
    return replica < fd->config.replicas ? fd->peers[replica].score : 0;
}

const struct tacit_fd_counters *tacit_fd_counters(const struct tacit_fd *fd)
{
    return &fd->counters;
}
