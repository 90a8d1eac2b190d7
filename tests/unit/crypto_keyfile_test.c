// SPDX-License-Identifier: Apache-2.0
//
// Key files: what is written is found again, nobody else can read it, nothing is overwritten, and
// every file that differs from the format in one byte or one permission bit is refused with a
// useful sentence.
//
// TACIT_ROUNDS: debug release
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tacit/keyfile.h"

enum { SOMEBODY = 12345, MYSELF = 12346, SKIP_EXIT = 77 };

static char directory[64]; // of this test, removed at its end
static char path[128];     // of a file in it
static struct tacit_keypair pair;
static struct tacit_error error;

static const char public_text[] =
    "ed25519:2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d";
// The seed is the bytes 64 to 95; the public key is crypto/vectors.py's.
static const char expected_text[] =
    "# replica 1\n"
    "tacit-private-key-v1\n"
    "public ed25519:2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d\n"
    "secret 404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f\n";
#define EXPECTED_LENGTH (sizeof expected_text - 1)

// Counts the wipes of memory that holds the secret, as bytes and as digits: the tested library is
// linked to this function, and libsodium, when it frees locked memory, comes here too.
static bool wipes_are_counted; // elsewhere, what is wiped may never have been written
static unsigned wipes_of_seed;
static unsigned wipes_of_digits;
void sodium_memzero(void *const memory, const size_t bytes)
{
    volatile uint8_t *target = memory;
    if (wipes_are_counted) {
        // Larger ones are the working memory of libsodium's hash.
        wipes_of_seed += bytes <= sizeof pair && memmem(memory, bytes, pair.secret, 32) != NULL;
        wipes_of_digits += memmem(memory, bytes, "404142434445464748494a4b4c4d4e4f", 32) != NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        target[i] = 0;
    }
}

static bool is_zero(const void *data, size_t bytes)
{
    return sodium_is_zero(data, bytes) == 1;
}

static int group_setup(void **state)
{
    (void)state;
    uint8_t seed[TACIT_SEED_BYTES];
    for (size_t i = 0; i < sizeof seed; i++) {
        seed[i] = (uint8_t)(64 + i);
    }
    if (tacit_crypto_init(NULL) != TACIT_OK) {
        return -1;
    }
    tacit_keypair_from_seed(&pair, seed);
    (void)snprintf(directory, sizeof directory, "/tmp/tacit-keyfile-XXXXXX");
    if (mkdtemp(directory) == NULL || chmod(directory, 0755) != 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/key", directory);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return rmdir(directory); // fails if a test, or a failed write, left a file behind
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

static void file_put(const void *data, size_t bytes, mode_t mode)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, data, bytes), (ssize_t)bytes);
    assert_int_equal(fchmod(file, mode), 0);
    assert_int_equal(close(file), 0);
}

static void assert_load_refused(enum tacit_status status, const char *words)
{
    struct tacit_keypair loaded;
    memset(&loaded, 0xaa, sizeof loaded);
    memset(&error, 0, sizeof error);
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), status);
    assert_int_equal(error.status, status);
    assert_true(is_zero(&loaded, sizeof loaded));
    if (strstr(error.text, words) == NULL || strstr(error.text, path) == NULL) {
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, words, path);
    }
}

static void public_text_round_trip(void **state)
{
    (void)state;
    struct tacit_public_key parsed;
    char text[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1];
    tacit_public_key_format(text, &pair.public_key);
    assert_string_equal(text, public_text);
    assert_int_equal(tacit_public_key_parse(&parsed, text, strlen(text), &error), TACIT_OK);
    assert_memory_equal(&parsed, &pair.public_key, sizeof parsed);
    for (size_t length = 0; length < strlen(text); length++) {
        assert_int_equal(tacit_public_key_parse(&parsed, text, length, &error), TACIT_EINVAL);
        assert_true(is_zero(&parsed, sizeof parsed));
    }
    assert_int_equal(tacit_public_key_parse(&parsed, text, strlen(text) + 1, &error), TACIT_EINVAL);
    assert_int_equal(tacit_public_key_parse(&parsed, text, SIZE_MAX, &error), TACIT_EINVAL);
}

// A changed character gives another key or none, never the same one.
static void public_text_changed(void **state)
{
    (void)state;
    struct tacit_public_key parsed;
    char text[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1];
    tacit_public_key_format(text, &pair.public_key);
    for (size_t i = 0; i < strlen(text); i++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            text[i] = (char)(text[i] ^ (char)mask);
            if (tacit_public_key_parse(&parsed, text, strlen(public_text), &error) == TACIT_OK) {
                assert_true(i >= 8);
                assert_memory_not_equal(&parsed, &pair.public_key, sizeof parsed);
            } else {
                assert_true(is_zero(&parsed, sizeof parsed));
            }
            text[i] = public_text[i];
        }
    }
    // The neutral element is well-formed text of an unusable key.
    memset(text + 8, '0', 64);
    text[9] = '1';
    assert_int_equal(tacit_public_key_parse(&parsed, text, strlen(public_text), &error),
                     TACIT_EINVAL);
    assert_non_null(strstr(error.text, "not a usable public key"));
}

static void written_file_is_loaded(void **state)
{
    (void)state;
    char text[TACIT_KEYFILE_BYTES_MAX];
    struct stat facts;
    struct tacit_keypair loaded;
    // Whatever the umask, the owner can read it and nobody else can.
    const mode_t masks[] = {0, 022, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        mode_t before = umask(masks[i]);
        assert_int_equal(tacit_keyfile_write(path, &pair, "replica 1", &error), TACIT_OK);
        (void)umask(before);
        assert_int_equal(stat(path, &facts), 0);
        assert_true(S_ISREG(facts.st_mode));
        assert_int_equal(facts.st_mode & 07777, 0600);
        assert_int_equal(facts.st_size, EXPECTED_LENGTH);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fread(text, 1, sizeof text, file), EXPECTED_LENGTH);
        assert_int_equal(fclose(file), 0);
        assert_memory_equal(text, expected_text, EXPECTED_LENGTH);
        assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK);
        assert_memory_equal(&loaded, &pair, sizeof pair);
        assert_int_equal(unlink(path), 0);
    }
}

static void comment_is_optional_and_bounded(void **state)
{
    (void)state;
    struct tacit_keypair loaded;
    char comment[TACIT_KEYFILE_COMMENT_MAX + 2];
    assert_int_equal(tacit_keyfile_write(path, &pair, NULL, &error), TACIT_OK);
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK);
    assert_int_equal(unlink(path), 0);
    memset(comment, '~', sizeof comment);
    comment[TACIT_KEYFILE_COMMENT_MAX] = '\0';
    assert_int_equal(tacit_keyfile_write(path, &pair, comment, &error), TACIT_OK);
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK);
    assert_memory_equal(&loaded, &pair, sizeof pair);
    assert_int_equal(unlink(path), 0);
    comment[TACIT_KEYFILE_COMMENT_MAX] = '~';
    comment[TACIT_KEYFILE_COMMENT_MAX + 1] = '\0';
    const char *const refused[] = {comment, "", "two\nlines", "tab\t", "\x7f", "caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(tacit_keyfile_write(path, &pair, refused[i], &error), TACIT_EINVAL);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void existing_file_is_not_overwritten(void **state)
{
    (void)state;
    char text[8] = {0};
    file_put("old", 3, 0600);
    assert_int_equal(tacit_keyfile_write(path, &pair, NULL, &error), TACIT_EEXIST);
    assert_int_equal(error.status, TACIT_EEXIST);
    assert_non_null(strstr(error.text, path));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), 3);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, "old");
    assert_int_equal(unlink(path), 0);
    // A dangling link would otherwise put the key where somebody else wants it.
    char target[160];
    (void)snprintf(target, sizeof target, "%s/elsewhere", directory);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(tacit_keyfile_write(path, &pair, NULL, &error), TACIT_EEXIST);
    assert_int_equal(access(target, F_OK), -1);
}

static void write_into_nowhere(void **state)
{
    (void)state;
    char other[5000];
    (void)snprintf(other, sizeof other, "%s/no/key", directory);
    assert_int_equal(tacit_keyfile_write(other, &pair, NULL, &error), TACIT_ENOENT);
    (void)snprintf(other, sizeof other, "%s/", directory);
    assert_int_equal(tacit_keyfile_write(other, &pair, NULL, &error), TACIT_EINVAL);
    assert_int_equal(tacit_keyfile_write("", &pair, NULL, &error), TACIT_EINVAL);
    memset(other, 'x', sizeof other - 1);
    other[sizeof other - 1] = '\0';
    assert_int_equal(tacit_keyfile_write(other, &pair, NULL, &error), TACIT_EINVAL);
}

static void write_into_the_working_directory(void **state)
{
    (void)state;
    struct tacit_keypair loaded;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(tacit_keyfile_write("key", &pair, NULL, &error), TACIT_OK);
    assert_int_equal(tacit_keyfile_load(&loaded, "key", &error), TACIT_OK);
    assert_int_equal(chdir(before), 0);
}

static int in_child(int (*body)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int write_with_full_disk(void)
{
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    if (tacit_keyfile_write(path, &pair, NULL, &error) != TACIT_EIO || error.os_errno != EFBIG) {
        return 2;
    }
    return access(path, F_OK) == 0 ? 3 : 0;
}

// The first 100 bytes are written, the rest is refused: half a key must not stay.
static void write_that_fails_half_way(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_with_full_disk), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void load_of_what_is_not_there(void **state)
{
    (void)state;
    assert_load_refused(TACIT_ENOENT, "tacit keygen");
}

static void load_refuses_each_permission_bit(void **state)
{
    (void)state;
    char words[128];
    for (mode_t bit = 01; bit <= 040; bit <<= 1) {
        file_put(expected_text, EXPECTED_LENGTH, 0600 | bit);
        (void)snprintf(words, sizeof words, "mode %04o", (unsigned)(0600 | bit));
        assert_load_refused(TACIT_EPERM, words);
        (void)snprintf(words, sizeof words, "chmod 600 %s/key", directory);
        assert_load_refused(TACIT_EPERM, words);
    }
    file_put(expected_text, EXPECTED_LENGTH, 0644);
    assert_load_refused(TACIT_EPERM, "mode 0644");
    struct tacit_keypair loaded;
    assert_int_equal(chmod(path, 0400), 0); // stricter is fine
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK);
}

static void load_refuses_what_is_no_regular_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_load_refused(TACIT_EINVAL, "not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); // and does not wait for a writer
    assert_load_refused(TACIT_EINVAL, "not a regular file");
    assert_int_equal(unlink(path), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_load_refused(TACIT_EINVAL, "not a regular file");
    assert_int_equal(close(listener), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_load_refused(TACIT_EINVAL, "symbolic link");
}

// --- Owner: needs root, who becomes somebody else in a child
// --------------------------------------------

// Becomes an ordinary user; with `reads_all` one that may open everybody's files all the same,
// which is the only kind of user for whom the owner of a 0600 file matters.
static bool become_user(bool reads_all)
{
    if (prctl(PR_SET_KEEPCAPS, reads_all ? 1 : 0) != 0 || setgid(MYSELF) != 0 ||
        setuid(MYSELF) != 0) {
        return false;
    }
    if (!reads_all) {
        return true;
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].permitted = 1u << CAP_DAC_OVERRIDE;
    data[0].effective = 1u << CAP_DAC_OVERRIDE;
    return syscall(SYS_capset, &header, data) == 0;
}

static int load_as(bool reads_all)
{
    static struct tacit_keypair loaded;
    if (!become_user(reads_all)) {
        return SKIP_EXIT;
    }
    return (int)tacit_keyfile_load(&loaded, path, &error);
}

static int load_as_reader_of_all(void)
{
    int status = load_as(true);
    return status == TACIT_EPERM && strstr(error.text, "belongs to user 12345") == NULL ? 99
                                                                                        : status;
}

static int load_as_plain_user(void)
{
    return load_as(false);
}

static void load_checks_the_owner(void **state)
{
    (void)state;
    struct tacit_keypair loaded;
    file_put(expected_text, EXPECTED_LENGTH, 0600);
    if (geteuid() != 0 || chown(path, SOMEBODY, SOMEBODY) != 0) {
        print_message("needs root, to give a file to somebody else\n");
        skip();
    }
    int status = in_child(load_as_reader_of_all);
    if (status == SKIP_EXIT) {
        print_message("needs CAP_DAC_OVERRIDE, CAP_SETUID and CAP_SETGID\n");
        skip();
    }
    assert_int_equal(status, TACIT_EPERM); // somebody else's
    assert_int_equal(in_child(load_as_plain_user), TACIT_EPERM);
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK); // root may
    assert_int_equal(chown(path, MYSELF, MYSELF), 0);
    assert_int_equal(in_child(load_as_plain_user), TACIT_OK); // one's own
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(in_child(load_as_reader_of_all), TACIT_OK); // root's
    assert_int_equal(in_child(load_as_plain_user), TACIT_EPERM); // root's, unreadable
}

// --- Contents
// -----------------------------------------------------------------------------------------------

static void load_refuses_every_truncation(void **state)
{
    (void)state;
    for (size_t length = 0; length < EXPECTED_LENGTH; length++) {
        file_put(expected_text, length, 0600);
        assert_load_refused(TACIT_EINVAL, "is not a private-key file");
    }
}

static void load_refuses_trailing_bytes(void **state)
{
    (void)state;
    static char text[2 * TACIT_KEYFILE_BYTES_MAX];
    memset(text, '\n', sizeof text);
    memcpy(text, expected_text, EXPECTED_LENGTH);
    for (size_t length = EXPECTED_LENGTH + 1; length <= sizeof text; length++) {
        file_put(text, length, 0600);
        assert_load_refused(TACIT_EINVAL,
                            length < TACIT_KEYFILE_BYTES_MAX ? "bytes after" : "longer than");
    }
    text[EXPECTED_LENGTH] = '\0';
    file_put(text, EXPECTED_LENGTH + 1, 0600);
    assert_load_refused(TACIT_EINVAL, "bytes after");
}

// Changed in one byte, the text is refused, unless that byte is in the comment and stays printable.
static void parse_refuses_every_changed_byte(void **state)
{
    (void)state;
    char text[sizeof expected_text];
    struct tacit_keypair parsed;
    const size_t comment_end = strlen("# replica 1");
    memcpy(text, expected_text, sizeof text);
    for (size_t i = 0; i < EXPECTED_LENGTH; i++) {
        for (unsigned mask = 1; mask < 256; mask *= 2) {
            char changed = (char)(expected_text[i] ^ (char)mask);
            bool harmless = i >= 2 && i < comment_end && changed >= 0x20 && changed <= 0x7e;
            text[i] = changed;
            memset(&parsed, 0xaa, sizeof parsed);
            enum tacit_status status =
                tacit_keyfile_parse(&parsed, text, EXPECTED_LENGTH, "test", &error);
            assert_int_equal(status, harmless ? TACIT_OK : TACIT_EINVAL);
            if (status == TACIT_OK) {
                assert_memory_equal(&parsed, &pair, sizeof parsed);
            } else {
                assert_true(is_zero(&parsed, sizeof parsed));
                // Nothing of the secret gets into a message.
                assert_null(strstr(error.text, "404142"));
                assert_null(strstr(error.text, "5d5e5f"));
            }
        }
        text[i] = expected_text[i];
    }
}

static void parse_refuses_a_foreign_public_key(void **state)
{
    (void)state;
    struct tacit_keypair other;
    struct tacit_keypair parsed;
    char text[TACIT_KEYFILE_BYTES_MAX];
    tacit_keypair_generate(&other);
    other.public_key = pair.public_key;
    size_t length = tacit_keyfile_format(text, &other, NULL, &error);
    assert_true(length > 0);
    assert_int_equal(tacit_keyfile_parse(&parsed, text, length, "test", &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "does not belong to the secret"));
    assert_true(is_zero(&parsed, sizeof parsed));
    assert_int_equal(tacit_keyfile_parse(&parsed, text, length, "test", NULL), TACIT_EINVAL);
}

static void temporaries_are_wiped(void **state)
{
    (void)state;
    struct tacit_keypair loaded = {.secret = {0}};
    wipes_are_counted = true;
    wipes_of_seed = 0;
    wipes_of_digits = 0;
    assert_int_equal(tacit_keyfile_write(path, &pair, NULL, &error), TACIT_OK);
    assert_int_equal(wipes_of_digits, 1); // the text to write
    assert_int_equal(tacit_keyfile_load(&loaded, path, &error), TACIT_OK);
    assert_int_equal(wipes_of_digits, 2); // the text that was read
    assert_int_equal(wipes_of_seed, 1);   // the seed on its way into the pair
    tacit_keypair_wipe(&loaded);
    assert_int_equal(wipes_of_seed, 2);
    assert_true(is_zero(&loaded, sizeof loaded));
    // A refused file has been read as well; its secret must not stay in the caller's pair.
    file_put(expected_text, EXPECTED_LENGTH - 1, 0600);
    assert_load_refused(TACIT_EINVAL, "is not a private-key file");
    assert_int_equal(wipes_of_digits, 3);
    // The seed, and the pair that was made before the end was seen.
    assert_int_equal(wipes_of_seed, 4);
    wipes_are_counted = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(public_text_round_trip),
        TEST(public_text_changed),
        TEST(written_file_is_loaded),
        TEST(comment_is_optional_and_bounded),
        TEST(existing_file_is_not_overwritten),
        TEST(write_into_nowhere),
        TEST(write_into_the_working_directory),
        TEST(write_that_fails_half_way),
        TEST(load_of_what_is_not_there),
        TEST(load_refuses_each_permission_bit),
        TEST(load_refuses_what_is_no_regular_file),
        TEST(load_checks_the_owner),
        TEST(load_refuses_every_truncation),
        TEST(load_refuses_trailing_bytes),
        TEST(parse_refuses_every_changed_byte),
        TEST(parse_refuses_a_foreign_public_key),
        TEST(temporaries_are_wiped),
    };
    return cmocka_run_group_tests_name("crypto_keyfile", tests, group_setup, group_teardown);
}
