// SPDX-License-Identifier: Apache-2.0
//
// See tacit/membership.h.
#include "tacit/membership.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tacit/shm.h"
#include "view_source.h"

#define NAP_NS UINT64_C(50000000) // longest sleep of a watcher between two looks

void tacit_view_source_changed(struct tacit_view_source *source)
{
    (void)atomic_fetch_add(&source->changes, 1);
    if (atomic_load(&source->watchers) > 0) {
        (void)syscall(SYS_futex, &source->changes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

static void fill(const struct tacit_view_source *source, struct tacit_view *view)
{
    struct tacit_published published = {0};
    (void)tacit_publish_read(source->publisher, &published);
    const struct tacit_status_report *report = &published.report;
    bool is_published = published.published_ns != 0;
    *view = (struct tacit_view){.epoch = report->epoch,
                                .term = report->term,
                                .self = report->self,
                                .leader = is_published ? report->leader : TACIT_NODE_NONE,
                                .replicas_up = report->up,
                                .memnodes_up = report->memnodes_up,
                                .source = source};
    memcpy(view->replicas, report->members, sizeof view->replicas);
    memcpy(view->memnodes, report->memnode_members, sizeof view->memnodes);
}

void tacit_view_current(struct tacit_replica *replica, struct tacit_view *view)
{
    fill(tacit_replica_view_source(replica), view);
}

struct tacit_view_state tacit_view_is_active(const struct tacit_view *view)
{
    struct tacit_view_id id;
    tacit_time_ns_t until_ns;
    if (!tacit_view_words_read(&view->source->words, &id, &until_ns)) {
        return (struct tacit_view_state){.changed = true};
    }
    bool changed = id.epoch != view->epoch || id.term != view->term || id.leader != view->leader;
    return (struct tacit_view_state){
        .active = !changed && until_ns != 0 && tacit_shm_now_ns() < until_ns, .changed = changed};
}

static bool differs(const struct tacit_view *a, const struct tacit_view *b)
{
    return a->epoch != b->epoch || a->term != b->term || a->leader != b->leader;
}

static void nap(struct tacit_view_source *source, uint32_t seen, uint64_t ns)
{
    struct timespec time = {.tv_nsec = (long)(ns < NAP_NS ? ns : NAP_NS)};
    (void)atomic_fetch_add(&source->watchers, 1);
    (void)syscall(SYS_futex, &source->changes, FUTEX_WAIT_PRIVATE, seen, &time, NULL, 0);
    (void)atomic_fetch_sub(&source->watchers, 1);
}

bool tacit_view_watch(struct tacit_replica *replica, const struct tacit_view *known,
                      uint64_t timeout_ns, struct tacit_view *next)
{
    struct tacit_view_source *source = tacit_replica_view_source(replica);
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    tacit_time_ns_t end_ns = timeout_ns < UINT64_MAX - now_ns ? now_ns + timeout_ns : UINT64_MAX;
    for (;;) { // until `end_ns` at the latest
        uint32_t seen = atomic_load(&source->changes);
        fill(source, next);
        if (differs(known, next)) {
            return true;
        }
        now_ns = tacit_shm_now_ns();
        if (now_ns >= end_ns) {
            return false;
        }
        nap(source, seen, end_ns - now_ns);
    }
}
