// SPDX-License-Identifier: Apache-2.0
//
// What a memory node gives up once its socket and its memory are there: its user, every capability,
// being looked at by debuggers, and all system calls that its loop does not make.
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"

enum tacit_status tacit_memnode_harden(struct tacit_error *error)
{
    struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return tacit_error_set(error, TACIT_EPERM, errno, "cannot harden the process: %s",
                               strerror(errno));
    }
    return TACIT_OK;
}

enum tacit_status tacit_memnode_drop_user(const struct tacit_memnode_config *config,
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
    // Whatever the user is: no capabilities. (If we stay root, root's files, but nothing to gain.)
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct nothing[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, nothing) != 0) {
        return tacit_error_set(error, TACIT_EPERM, errno, "cannot give up capabilities: %s",
                               strerror(errno));
    }
    return tacit_memnode_harden(error); // again: the change of user may have undone it
}

// All but mmap and mprotect. No sockets or files of its own, no programs, no threads.
static const int calls[] = {
    // waiting, the clock where it is no vDSO, signals, the heap, and telling people
    SCMP_SYS(ppoll), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    // connections, their keys and their regions
    SCMP_SYS(accept4), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(close), SCMP_SYS(getrandom),
    SCMP_SYS(getpid), SCMP_SYS(memfd_create), SCMP_SYS(fchmod), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate), SCMP_SYS(fcntl), SCMP_SYS(fstatfs), SCMP_SYS(madvise),
    // the end: secrets are wiped, the socket's file goes; or a failed assertion
    SCMP_SYS(munlock), SCMP_SYS(unlink), SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction),
    SCMP_SYS(gettid), SCMP_SYS(tgkill)};

enum tacit_status tacit_memnode_confine(struct tacit_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int result = filter == NULL ? -ENOMEM : 0;
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
