// SPDX-License-Identifier: Apache-2.0
//
// Who gives back the memory of a process that was killed: another one, of the lowest rank, that has
// no file of it, and that ends after it. The keeper is stopped before the kill, so that what it
// holds can be looked at.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/lib/remains.h"

#define WAIT_MS 20000
#define MARK "tacit-remains-test"

static int wait_ms(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, WAIT_MS);
}

// The state letter of a process, 0: there is none.
static char state_of(pid_t pid)
{
    char path[64];
    char text[256] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    bool is_read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    const char *behind = strrchr(text, ')');
    if (!is_read || behind == NULL || behind[1] == '\0') {
        return 0;
    }
    return behind[2];
}

static bool becomes(pid_t pid, const char *states)
{
    for (unsigned i = 0; i < WAIT_MS; i++) {
        char state = state_of(pid);
        if (state == 0 ? strchr(states, 'Z') != NULL : strchr(states, state) != NULL) {
            return true;
        }
        (void)usleep(1000);
    }
    return false;
}

static bool maps_mark(pid_t pid)
{
    char path[64];
    char line[512];
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strstr(line, MARK) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

// A process with memory of its own and a keeper, whose id it says; it holds the pipe until it ends,
// or, when `becomes_other`, until it is told to become another program.
static pid_t start(int *says, int *go, pid_t *keeper, bool becomes_other)
{
    int said[2];
    int told[2];
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        (void)close(said[0]);
        (void)close(told[1]);
        int memory = memfd_create(MARK, MFD_CLOEXEC);
        pid_t kept = tacit_remains_keep();
        if (ftruncate(memory, 1 << 20) != 0 ||
            mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED ||
            write(said[1], &kept, sizeof kept) != sizeof kept || read(told[0], &byte, 1) != 1 ||
            !becomes_other) {
            _exit(3);
        }
        (void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
        _exit(4);
    }
    (void)close(said[1]);
    (void)close(told[0]);
    *says = said[0];
    *go = told[1];
    assert_int_equal(wait_ms(*says), 1);
    assert_int_equal(read(*says, keeper, sizeof *keeper), sizeof *keeper);
    assert_true(*keeper > 0);
    assert_true(becomes(*keeper, "S"));
    return child;
}

static void remains_are_the_keepers(void **state)
{
    (void)state;
    int says;
    int go;
    char byte;
    pid_t keeper;
    pid_t child = start(&says, &go, &keeper, false);
    assert_int_equal(sched_getscheduler(keeper), SCHED_IDLE);
    assert_int_equal(kill(keeper, SIGTERM), 0); // as a service manager does with all of a unit
    assert_int_equal(kill(keeper, SIGSTOP), 0);
    assert_true(becomes(keeper, "T"));

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(wait_ms(says), 1);
    assert_int_equal(read(says, &byte, 1), 0); // nobody has the files any more
    assert_true(maps_mark(keeper));            // but the memory

    assert_int_equal(kill(keeper, SIGCONT), 0);
    assert_true(becomes(keeper, "ZX"));
    (void)close(says);
    (void)close(go);
}

// The memory of the program before is not kept as long as the next one runs.
static void another_program_frees_it(void **state)
{
    (void)state;
    int says;
    int go;
    pid_t keeper;
    pid_t child = start(&says, &go, &keeper, true);
    assert_int_equal(write(go, "", 1), 1);
    assert_true(becomes(keeper, "ZX"));
    assert_int_equal(kill(child, 0), 0);
    assert_int_not_equal(state_of(child), 'Z');
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(says);
    (void)close(go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remains_are_the_keepers),
        cmocka_unit_test(another_program_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
