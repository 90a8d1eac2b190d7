// SPDX-License-Identifier: Apache-2.0
//
// The memory-node daemon's logic: a loop around the permission server, asleep while nobody asks, in
// a process that has given up everything that it does not need. See tacit/memnode.h.
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tacit/grants.h"
#include "tacit/layout.h"
#include "tacit/memnode.h"

// Requests are rung for; this only bounds how long a region that was given up stays.
#define LOOK_NS UINT64_C(1000000000)
// Turns without a sleep after something happened: one request leads to the next.
#define AWAKE_TURNS 64

// For the signal handler, which can be told nothing.
static struct tacit_fabric *volatile running;
static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    int before = errno;
    stopping = 1;
    struct tacit_fabric *fabric = running;
    if (fabric != NULL) {
        tacit_shm_wake(fabric);
    }
    errno = before;
}

// ---- giving things up ----

static enum tacit_status harden(struct tacit_error *error)
{
    struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return tacit_error_set(error, TACIT_EPERM, errno, "cannot harden the process: %s",
                               strerror(errno));
    }
    return TACIT_OK;
}

static enum tacit_status drop_privileges(const struct tacit_memnode_config *config,
                                         struct tacit_error *error)
{
    gid_t group = config->user_gid;
    uid_t user = config->user_uid;
    if (geteuid() == 0 && user != 0 &&
        (setgroups(config->fabric.socket_gid != 0, &(gid_t){config->fabric.socket_gid}) != 0 ||
         setresgid(group, group, group) != 0 || setresuid(user, user, user) != 0 ||
         setuid(0) == 0)) {
        return tacit_error_set(error, TACIT_EPERM, errno, "cannot become user %u, group %u: %s",
                               user, group, strerror(errno));
    }
    // Whatever the user is: no capabilities, in this thread and in the one that the fabric started.
    // (That one lost them with the user id; if we stay root, it keeps root's files but can gain
    // nothing.)
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct nothing[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, nothing) != 0) {
        return tacit_error_set(error, TACIT_EPERM, errno, "cannot give up capabilities: %s",
                               strerror(errno));
    }
    return harden(error); // again: the change of user may have undone it
}

static int allow(scmp_filter_ctx filter)
{
    static const int calls[] = {
        // the loop, and the fabric's thread
        SCMP_SYS(futex),
        SCMP_SYS(futex_waitv),
        SCMP_SYS(ppoll),
        SCMP_SYS(poll),
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(close),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(sched_yield),
        SCMP_SYS(gettid),
        SCMP_SYS(getpid),
        SCMP_SYS(getrandom),
        SCMP_SYS(rseq),
        SCMP_SYS(writev),
        // new connections and their regions
        SCMP_SYS(accept4),
        SCMP_SYS(sendmsg),
        SCMP_SYS(recvmsg),
        SCMP_SYS(getsockopt),
        SCMP_SYS(pidfd_open),
        SCMP_SYS(memfd_create),
        SCMP_SYS(fchmod),
        SCMP_SYS(ftruncate),
        SCMP_SYS(fallocate),
        SCMP_SYS(fcntl),
        SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(fstatfs),
        SCMP_SYS(munmap),
        SCMP_SYS(madvise),
        SCMP_SYS(brk),
        // the end: secrets are wiped in pages that were inaccessible, the socket goes
        SCMP_SYS(munlock),
        SCMP_SYS(unlink),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(tgkill),
    };
    int result = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0] && result == 0; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    // Memory, but no new code.
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
    }
    if (result == 0) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
    }
    return result;
}

static enum tacit_status confine(struct tacit_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int result = filter == NULL ? -ENOMEM : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0) {
        result = allow(filter);
    }
    if (result == 0) {
        result = seccomp_load(filter);
    }
    if (filter != NULL) {
        seccomp_release(filter);
    }
    if (result != 0) {
        return tacit_error_set(error, TACIT_EPERM, -result, "cannot restrict system calls: %s",
                               strerror(-result));
    }
    return TACIT_OK;
}

// ---- the loop ----

// A replica names a log region that is no longer needed: free it if a later life of its owner is
// here, so that nobody can make us drop a region that is in use.
static void retire_named(const struct tacit_grants *grants, struct tacit_fabric *fabric)
{
    for (tacit_node_t node = 0; node < grants->config.replicas; node++) {
        size_t bytes;
        const uint64_t *control = fabric->ops->local(
            fabric,
            (struct tacit_region_key){.region_class = TACIT_REGION_CONTROL,
                                      .owner = node,
                                      .incarnation = grants->peers[node].incarnation},
            &bytes);
        if (control == NULL || bytes < TACIT_CONTROL_REGION_BYTES) {
            continue;
        }
        uint64_t word = __atomic_load_n(&control[TACIT_CONTROL_RETIRED / 8], __ATOMIC_ACQUIRE);
        struct tacit_region_key key = {.region_class = TACIT_REGION_LOG,
                                       .owner = tacit_owner_node(word),
                                       .incarnation = tacit_owner_incarnation(word)};
        if (word != 0 && key.owner < grants->config.replicas &&
            key.incarnation < grants->peers[key.owner].incarnation) {
            fabric->ops->retire(fabric, key); // nothing happens if it is gone already
        }
    }
}

static bool turn(struct tacit_grants *grants, struct tacit_fabric *fabric)
{
    struct tacit_event events[32];
    tacit_time_ns_t now_ns = tacit_shm_now_ns();
    size_t count = fabric->ops->poll(fabric, events, 32);
    for (size_t i = 0; i < count; i++) {
        tacit_grants_event(grants, &events[i], now_ns);
    }
    uint32_t connected = 0;
    for (unsigned node = 0; node < grants->config.replicas; node++) {
        connected |= (uint32_t)grants->peers[node].up << node;
    }
    return tacit_grants_poll(grants, connected, NULL, now_ns) || count > 0;
}

static void loop(struct tacit_grants *grants, struct tacit_fabric *fabric)
{
    unsigned idle_turns = 0;
    while (!stopping) {
        if (turn(grants, fabric)) {
            idle_turns = 0;
        } else if (++idle_turns > AWAKE_TURNS) {
            idle_turns = 0;
            retire_named(grants, fabric);
            fabric->ops->arm(fabric);
            if (!turn(grants, fabric) && !stopping) {
                tacit_time_ns_t until_ns = tacit_shm_now_ns() + LOOK_NS;
                tacit_time_ns_t deadline_ns = tacit_grants_deadline(grants);
                fabric->ops->sleep(fabric, deadline_ns < until_ns ? deadline_ns : until_ns);
            }
            fabric->ops->disarm(fabric);
        }
    }
}

enum tacit_status tacit_memnode_run(const struct tacit_memnode_config *config,
                                    struct tacit_error *error)
{
    const struct tacit_host_layout *layout = &config->fabric.layouts[TACIT_SHM_MEMNODE];
    if (config->replicas == 0 || config->replicas > TACIT_REPLICAS_MAX ||
        config->suspicion_ns == 0 || layout->page_bytes < TACIT_PAGE_REGION_BYTES ||
        layout->control_bytes < TACIT_CONTROL_REGION_BYTES ||
        layout->log_bytes < TACIT_LOG_ENTRIES) {
        return tacit_error_set(
            error, TACIT_EINVAL, 0,
            "memory node: replicas, suspicion time or region sizes out of range");
    }
    enum tacit_status status = harden(error);
    struct tacit_fabric *fabric = NULL;
    if (status == TACIT_OK) {
        status = tacit_shm_host_open(&config->fabric, &fabric, error);
    }
    if (status != TACIT_OK) {
        return status;
    }
    static struct tacit_grants grants;
    struct sigaction action = {.sa_handler = stop};
    running = fabric;
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    status = tacit_shm_thread_attach(fabric, error);
    if (status == TACIT_OK) {
        status = drop_privileges(config, error);
    }
    if (status == TACIT_OK && config->confine) {
        status = confine(error);
    }
    if (status == TACIT_OK) {
        struct tacit_grants_config options = {.replicas = config->replicas,
                                              .suspicion_ns = config->suspicion_ns};
        tacit_grants_init(&grants, &options, fabric);
        if (config->ready != NULL) {
            config->ready(config->ready_context);
        }
        loop(&grants, fabric);
    }
    running = NULL;
    tacit_shm_close(fabric);
    return status;
}
