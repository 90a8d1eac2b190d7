// SPDX-License-Identifier: Apache-2.0
//
// Doorbells and sleeping. A bell is a small write of the ringer's to its own line at the host,
// posted on the queue pair that carried the data: so it lands after the data, and a host that sees
// the bell sees the data (contract 9). Writes may have gone over both planes, which are not
// ordered, so each that has written since its last bell gets one. A sleeper looks at its lines
// every slice: a remote write wakes no thread.
//
// Why no wake-up is lost: arm() notes the bells *before* the caller polls once more; a write that
// this last poll did not see has its bell land later, and sleep() compares with the note before
// every nap. A bell that cannot be posted (queue full, plane being set up) is owed: poll() and
// sleep() post it later.
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

// When a plane was replaced, all that was written on it before has landed or will never: its bell
// may as well go over the background plane, which this process may always write through.
static void bells_follow(struct verbs_link *link)
{
    struct verbs_plane *data = &link->plane[TACIT_PLANE_DATA];
    if ((data->dirty || data->bell_due) && data->dirty_epoch != data->epoch) {
        link->plane[TACIT_PLANE_BACKGROUND].bell_due = true;
        data->bell_due = false;
        data->dirty = false;
    }
}

bool tacit_verbs_bells_flush(struct tacit_verbs *v, struct verbs_link *link)
{
    bool paid = true;
    if (!link->reaches) {
        return true;
    }
    bells_follow(link);
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_plane *plane = &link->plane[p];
        if (plane->bell_due && tacit_verbs_plane_ring(v, plane, p)) {
            plane->bell_due = false;
        }
        paid &= !plane->bell_due;
    }
    return paid;
}

void tacit_verbs_ring(struct tacit_fabric *fabric, tacit_node_t host)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    struct verbs_link *link = tacit_verbs_link(v, host);
    // Never of a link that the control thread has in hands for long: memory of the planes stays,
    // and these two words are this thread's.
    if (host == fabric->self || link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
        return;
    }
    bool owed = false;
    for (unsigned p = 0; p < TACIT_PLANES; p++) {
        struct verbs_plane *plane = &link->plane[p];
        plane->bell_due |= plane->dirty;
        plane->dirty = false;
        owed |= plane->bell_due;
    }
    if (!owed) { // nothing was written since the last one
        fabric->counters.rings_suppressed++;
        return;
    }
    fabric->counters.rings++;
    if (pthread_mutex_trylock(&link->lock) == 0) {
        if (atomic_load(&link->state) == TACIT_VERBS_LINK_UP) {
            (void)tacit_verbs_bells_flush(v, link);
        }
        (void)pthread_mutex_unlock(&link->lock);
    }
}

static bool bell_rang(struct tacit_verbs *v, tacit_node_t node, unsigned plane)
{
    return __atomic_load_n(&v->bells[node].bell[plane], __ATOMIC_ACQUIRE) !=
           v->bells_heard[node][plane];
}

void tacit_verbs_arm(struct tacit_fabric *fabric)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    uint64_t drained;
    ssize_t got = read(v->wake_sleeper, &drained, sizeof(drained));
    (void)got;
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        for (unsigned p = 0; p < TACIT_PLANES; p++) {
            v->bells_heard[node][p] = __atomic_load_n(&v->bells[node].bell[p], __ATOMIC_ACQUIRE);
        }
    }
    // The caller's last look must not be taken before the notes.
    atomic_thread_fence(memory_order_seq_cst);
}

// Whether the sleep is over; *busy: operations are under way, or bells owed.
static bool look(struct tacit_verbs *v, bool *busy)
{
    *busy = false;
    for (tacit_node_t node = 0; node < TACIT_NODES_MAX; node++) {
        struct verbs_link *link = tacit_verbs_link(v, node);
        if (link == NULL || atomic_load(&link->state) != TACIT_VERBS_LINK_UP) {
            continue; // its changes end the sleep through wake_sleeper
        }
        for (unsigned p = 0; p < TACIT_PLANES; p++) {
            if (bell_rang(v, node, p)) {
                return true;
            }
        }
        if (pthread_mutex_trylock(&link->lock) != 0) {
            *busy = true;
            continue;
        }
        bool ended = false;
        for (unsigned p = 0; p < TACIT_PLANES && link->reaches && link->plane[p].cq != NULL; p++) {
            tacit_verbs_plane_flush(v, &link->plane[p]);
            tacit_verbs_harvest(v, &link->plane[p]);
            ended |= tacit_verbs_plane_has_news(&link->plane[p]);
            *busy |= link->plane[p].ended != link->plane[p].next;
        }
        *busy |= link->plane[0].cq != NULL && !tacit_verbs_bells_flush(v, link);
        (void)pthread_mutex_unlock(&link->lock);
        if (ended) {
            return true;
        }
    }
    return false;
}

void tacit_verbs_sleep(struct tacit_fabric *fabric, tacit_time_ns_t until_ns)
{
    struct tacit_verbs *v = tacit_verbs_of(fabric);
    struct pollfd wait = {.fd = v->wake_sleeper, .events = POLLIN};
    bool busy;
    while (!look(v, &busy)) {
        tacit_time_ns_t now_ns = tacit_verbs_now_ns();
        if (now_ns >= until_ns) {
            return;
        }
        tacit_time_ns_t slice_ns = busy ? v->config.sleep_slice_ns / 4 : v->config.sleep_slice_ns;
        slice_ns = slice_ns < until_ns - now_ns ? slice_ns : until_ns - now_ns;
        struct timespec pause = {.tv_sec = (time_t)(slice_ns / 1000000000u),
                                 .tv_nsec = (long)(slice_ns % 1000000000u)};
        if (ppoll(&wait, 1, &pause, NULL) != 0) {
            return; // woken by the control thread, or by a signal
        }
    }
}

void tacit_verbs_disarm(struct tacit_fabric *fabric)
{
    (void)fabric; // rings cost the ringer a write either way; there is nothing to take back
}
