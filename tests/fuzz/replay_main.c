// SPDX-License-Identifier: Apache-2.0
//
// Drives a libFuzzer target without libFuzzer: each file of the given corpus folders as it is, then
// a bounded number of mutations, drawn from a fixed seed so that every run is the same. This is
// what keeps the fuzz targets honest in the ordinary builds (any compiler, sanitizers on); the
// search for new inputs is the fuzz build's work.
//
//     fuzz_x [--seed N] [--runs N] [--seconds N] [FILE or FOLDER]...
//
// The first input is always the empty one. When the target dies, the input that it was given is
// left in the current folder as <program>.crash-input.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TACIT_REPLAY_FILES_MAX = 4096,
    TACIT_REPLAY_BYTES_MAX = 1 << 16,
    TACIT_REPLAY_EDITS_MAX = 8,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// Optional in a target.
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
// There when a sanitizer is linked in: it ends the process without a signal.
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct seed_input {
    uint8_t *bytes;
    size_t length;
};

static struct seed_input inputs[TACIT_REPLAY_FILES_MAX];
static size_t input_count;
static uint64_t random_state = 1;
static const uint8_t *current_bytes;
static size_t current_length;
static char crash_path[4096];

// SplitMix64: any seed will do, and the sequence is the same on every machine.
static uint64_t random_next(void)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(size_t bound)
{
    return (size_t)(random_next() % bound);
}

static void die(const char *what, const char *path)
{
    fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
    exit(2);
}

static void add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        die("cannot open", path);
    }
    if (input_count == TACIT_REPLAY_FILES_MAX) {
        fprintf(stderr, "replay: more than %d corpus files\n", TACIT_REPLAY_FILES_MAX);
        exit(2);
    }
    struct seed_input *input = &inputs[input_count++];
    input->bytes = malloc(TACIT_REPLAY_BYTES_MAX);
    if (input->bytes == NULL) {
        die("no memory for", path);
    }
    input->length = fread(input->bytes, 1, TACIT_REPLAY_BYTES_MAX, file);
    if (ferror(file) != 0) {
        die("cannot read", path);
    }
    if (fgetc(file) != EOF) {
        fprintf(stderr, "replay: %s is larger than %d bytes\n", path, TACIT_REPLAY_BYTES_MAX);
        exit(2);
    }
    (void)fclose(file);
}

static void add_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        die("cannot find", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        add_file(path);
        return;
    }
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, NULL, alphasort); // sorted: the same order everywhere
    if (count < 0) {
        die("cannot list", path);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        const int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof(name)) {
            errno = ENAMETOOLONG;
            die("cannot use", path);
        }
        if (entries[i]->d_name[0] != '.' && stat(name, &status) == 0 && S_ISREG(status.st_mode)) {
            add_file(name);
        }
        free(entries[i]);
    }
    free(entries);
}

// The process is dying: leave the input behind. Only calls that are allowed in a signal handler.
static void leave_input(void)
{
    if (current_bytes == NULL) {
        return;
    }
    const int file = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file >= 0) {
        if (write(file, current_bytes, current_length) == (ssize_t)current_length) {
            static const char message[] = "replay: the input is left in ";
            (void)!write(STDERR_FILENO, message, sizeof(message) - 1);
            (void)!write(STDERR_FILENO, crash_path, strlen(crash_path));
            (void)!write(STDERR_FILENO, "\n", 1);
        }
        (void)close(file);
    }
    current_bytes = NULL; // once: the callback and the signal may both come
}

static void on_signal(int number)
{
    leave_input();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void watch_for_death(void)
{
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(leave_input);
        (void)signal(SIGABRT, on_signal); // the others are the sanitizer's
        return;
    }
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        (void)signal(deadly[i], on_signal);
    }
}

static void run_one(const uint8_t *bytes, size_t length)
{
    // An exact copy on the heap, so that a read beyond the input is seen by the address sanitizer.
    uint8_t *copy = malloc(length == 0 ? 1 : length);
    if (copy == NULL) {
        die("no memory for", "an input");
    }
    memcpy(copy, bytes, length);
    current_bytes = bytes;
    current_length = length;
    (void)LLVMFuzzerTestOneInput(copy, length);
    current_bytes = NULL;
    free(copy);
}

// One small edit; returns the new length.
static size_t edit(uint8_t *bytes, size_t length)
{
    static const uint8_t interesting[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"', ':'};
    const size_t at = length == 0 ? 0 : random_below(length);
    switch (random_below(7)) {
    case 0: // flip a bit
        if (length > 0) {
            bytes[at] ^= (uint8_t)(1u << random_below(8));
        }
        return length;
    case 1: // a value that tends to be special
        if (length > 0) {
            bytes[at] = interesting[random_below(sizeof(interesting))];
        }
        return length;
    case 2: // any byte
        if (length > 0) {
            bytes[at] = (uint8_t)random_next();
        }
        return length;
    case 3: // off by one, as a length or a number would be
        if (length > 0) {
            bytes[at] = (uint8_t)(bytes[at] + (random_below(2) == 0 ? 1 : 255));
        }
        return length;
    case 4: // truncate
        return at;
    case 5: { // repeat a piece at the end
        const size_t piece = length == 0 ? 0 : random_below(length - at) + 1;
        if (length + piece <= TACIT_REPLAY_BYTES_MAX) {
            memmove(bytes + length, bytes + at, piece);
            return length + piece;
        }
        return length;
    }
    default: // the head of this one, the tail of another
        if (input_count > 0) {
            const struct seed_input *other = &inputs[random_below(input_count)];
            if (other->length > at) {
                memcpy(bytes + at, other->bytes + at, other->length - at);
                return other->length;
            }
        }
        return length;
    }
}

static uint64_t run_mutations(uint64_t runs, uint64_t seconds)
{
    static uint8_t bytes[TACIT_REPLAY_BYTES_MAX];
    const time_t start = time(NULL);
    uint64_t done = 0;
    while (done < runs && (uint64_t)(time(NULL) - start) < seconds) {
        size_t length = 0;
        if (input_count > 0) {
            const struct seed_input *input = &inputs[random_below(input_count)];
            length = input->length;
            memcpy(bytes, input->bytes, length);
        } else {
            length = random_below(64);
            for (size_t i = 0; i < length; i++) {
                bytes[i] = (uint8_t)random_next();
            }
        }
        const size_t edits = random_below(TACIT_REPLAY_EDITS_MAX) + 1;
        for (size_t i = 0; i < edits; i++) {
            length = edit(bytes, length);
        }
        run_one(bytes, length);
        done++;
    }
    return done;
}

static uint64_t number(const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        fprintf(stderr, "replay: \"%s\" is no number\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t runs = 20000;
    uint64_t seconds = 5;
    if (LLVMFuzzerInitialize != NULL) {
        (void)LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            random_state = number(argv[++i]);
        } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            runs = number(argv[++i]);
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            seconds = number(argv[++i]);
        } else {
            add_path(argv[i]);
        }
    }
    const char *base = strrchr(argv[0], '/');
    (void)snprintf(crash_path, sizeof(crash_path), "%s.crash-input",
                   base == NULL ? argv[0] : base + 1);

    watch_for_death();
    run_one((const uint8_t *)"", 0);
    for (size_t i = 0; i < input_count; i++) {
        run_one(inputs[i].bytes, inputs[i].length);
    }
    const uint64_t mutated = run_mutations(runs, seconds);
    printf("replay: %zu corpus files and %llu mutations, no failure\n", input_count,
           (unsigned long long)mutated);
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].bytes);
    }
    return 0;
}
