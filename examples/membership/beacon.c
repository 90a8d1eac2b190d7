// SPDX-License-Identifier: Apache-2.0
//
// A member of a group that may act for it: of all processes that run this, at most one at a time
// prints beats, whatever is killed, stopped or continued. The replica runs in the main thread;
// another one asks for the view.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tacit/membership.h>
#include <time.h>

static struct tacit_replica *replica;
static volatile sig_atomic_t ending;

static enum tacit_status init(struct tacit_app_host *host, const char *options,
                              struct tacit_error *error)
{
    (void)host;
    (void)options;
    (void)error;
    return TACIT_OK;
}

static size_t apply(struct tacit_app_host *host, const struct tacit_request *request, void *reply,
                    size_t reply_max)
{
    (void)host;
    (void)request;
    (void)reply;
    (void)reply_max;
    return 0; // nothing is replicated: the group is there for its members
}

static const struct tacit_app app = {
    .version = TACIT_APP_VERSION, .name = "beacon", .init = init, .apply = apply};

static unsigned long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000u;
}

// A beat a millisecond. The time is taken before the question: if the answer is yes, nobody else
// led then or has led since.
static void beat(const struct tacit_view *view)
{
    const struct timespec rest = {.tv_nsec = 1000000};
    unsigned long long at = now_us();
    if (tacit_view_is_active(view).active) {
        printf("beat %u term %llu at %llu\n", view->self, (unsigned long long)view->term, at);
    }
    nanosleep(&rest, NULL);
}

static void *ask(void *nothing)
{
    struct tacit_view view;
    struct tacit_view next;
    (void)nothing;
    tacit_view_current(replica, &view);
    while (!ending) {
        if (view.leader == view.self && !tacit_view_is_active(&view).changed) {
            beat(&view);
        } else if (tacit_view_watch(replica, &view, 100000000, &next)) {
            view = next;
            printf("view: epoch %llu, leader %d\n", (unsigned long long)view.epoch,
                   view.leader == TACIT_NODE_NONE ? -1 : (int)view.leader);
        }
    }
    return NULL;
}

static void stop(int number)
{
    (void)number;
    ending = 1;
    tacit_replica_stop(replica);
}

int main(int argc, char **argv)
{
    struct tacit_replica_options options = {.node_path = argc > 1 ? argv[1] : "", .app = &app};
    struct tacit_error error;
    pthread_t asker;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2 || tacit_replica_open(&options, &replica, &error) != TACIT_OK) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: beacon REPLICA.yaml" : error.text);
        return 1;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    if (pthread_create(&asker, NULL, ask, NULL) != 0) {
        return 1;
    }
    enum tacit_status status = tacit_replica_run(replica, &error);
    ending = 1;
    pthread_join(asker, NULL);
    tacit_replica_close(replica);
    return status == TACIT_OK ? 0 : 1;
}
