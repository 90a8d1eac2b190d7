// SPDX-License-Identifier: Apache-2.0
//
// Private keys in files, public keys as text. The file is made so that nobody else can ever read it
// and no existing key is lost, and it is read so that a key which others could have seen is never
// used.
#include "tacit/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC_PREFIX "ed25519:"
#define MAGIC_LINE "tacit-private-key-v1\n"
#define PUBLIC_LABEL "public "
#define SECRET_LABEL "secret "
#define SEED_HEX_LENGTH (2 * TACIT_SEED_BYTES)
#define IO_CALLS_MAX                                                                               \
    64 // a regular file of 512 bytes takes one; bounds what a bad file system may do

_Static_assert(TACIT_PUBLIC_KEY_TEXT_LENGTH ==
                   sizeof PUBLIC_PREFIX - 1 + 2 * TACIT_PUBLIC_KEY_BYTES,
               "the public form is prefix and digits");
_Static_assert(2 + TACIT_KEYFILE_COMMENT_MAX + 1 + sizeof MAGIC_LINE + sizeof PUBLIC_LABEL +
                       TACIT_PUBLIC_KEY_TEXT_LENGTH + 1 + sizeof SECRET_LABEL + SEED_HEX_LENGTH +
                       1 <
                   TACIT_KEYFILE_BYTES_MAX,
               "the largest file must fit with room to notice trailing bytes");

// --- Text
// -------------------------------------------------------------------------------------------

void tacit_public_key_format(char out[TACIT_PUBLIC_KEY_TEXT_LENGTH + 1],
                             const struct tacit_public_key *key)
{
    const size_t prefix_length = sizeof PUBLIC_PREFIX - 1;
    memcpy(out, PUBLIC_PREFIX, prefix_length);
    tacit_hex_encode(out + prefix_length, TACIT_PUBLIC_KEY_TEXT_LENGTH + 1 - prefix_length,
                     key->bytes, sizeof key->bytes);
}

enum tacit_status tacit_public_key_parse(struct tacit_public_key *out, const char *text,
                                         size_t text_bytes, struct tacit_error *error)
{
    const size_t prefix_length = sizeof PUBLIC_PREFIX - 1;
    memset(out, 0, sizeof *out);
    if (text_bytes != TACIT_PUBLIC_KEY_TEXT_LENGTH ||
        memcmp(text, PUBLIC_PREFIX, prefix_length) != 0 ||
        !tacit_hex_decode(out->bytes, sizeof out->bytes, text + prefix_length,
                          text_bytes - prefix_length)) {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "not a public key: expected \"" PUBLIC_PREFIX
                               "\" and 64 hexadecimal digits in lower case, "
                               "as 'tacit keygen' prints it");
    }
    if (!tacit_public_key_is_usable(out)) {
        memset(out, 0, sizeof *out);
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "not a usable public key: the digits are no Ed25519 point of full "
                               "order; some digit is probably wrong");
    }
    return TACIT_OK;
}

static bool comment_is_printable(const char *comment, size_t length)
{
    if (length == 0 || length > TACIT_KEYFILE_COMMENT_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (comment[i] < 0x20 || comment[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static void append(char *out, size_t *length, const char *text, size_t text_length)
{
    memcpy(out + *length, text, text_length);
    *length += text_length;
}

size_t tacit_keyfile_format(char out[TACIT_KEYFILE_BYTES_MAX], const struct tacit_keypair *keypair,
                            const char *comment, struct tacit_error *error)
{
    size_t length = 0;
    if (comment != NULL) {
        size_t comment_length = strnlen(comment, TACIT_KEYFILE_COMMENT_MAX + 1);
        if (!comment_is_printable(comment, comment_length)) {
            tacit_error_set(error, TACIT_EINVAL, 0,
                            "the comment of a key file must be 1 to %d printable ASCII characters",
                            TACIT_KEYFILE_COMMENT_MAX);
            return 0;
        }
        append(out, &length, "# ", 2);
        append(out, &length, comment, comment_length);
        append(out, &length, "\n", 1);
    }
    append(out, &length, MAGIC_LINE PUBLIC_LABEL, sizeof MAGIC_LINE PUBLIC_LABEL - 1);
    tacit_public_key_format(out + length, &keypair->public_key);
    length += TACIT_PUBLIC_KEY_TEXT_LENGTH;
    append(out, &length, "\n" SECRET_LABEL, sizeof "\n" SECRET_LABEL - 1);
    tacit_hex_encode(out + length, TACIT_KEYFILE_BYTES_MAX - length, keypair->secret,
                     TACIT_SEED_BYTES);
    length += SEED_HEX_LENGTH;
    append(out, &length, "\n", 1);
    return length;
}

struct cursor {
    const char *text;
    size_t left;
};

static bool take_literal(struct cursor *cursor, const char *literal)
{
    size_t length = strlen(literal);
    if (cursor->left < length || memcmp(cursor->text, literal, length) != 0) {
        return false;
    }
    cursor->text += length;
    cursor->left -= length;
    return true;
}

static bool take_bytes(struct cursor *cursor, const char **out, size_t length)
{
    if (cursor->left < length) {
        return false;
    }
    *out = cursor->text;
    cursor->text += length;
    cursor->left -= length;
    return true;
}

// Skips the comment line if there is one; false when the line breaks the rules.
static bool take_comment(struct cursor *cursor)
{
    const char *line = NULL;
    if (cursor->left == 0 || cursor->text[0] != '#') {
        return true;
    }
    if (!take_literal(cursor, "# ")) {
        return false;
    }
    const char *end = memchr(cursor->text, '\n', cursor->left);
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - cursor->text);
    return comment_is_printable(cursor->text, length) && take_bytes(cursor, &line, length + 1);
}

// Takes the secret's digits and makes the key pair from them.
static bool take_secret(struct cursor *cursor, struct tacit_keypair *out)
{
    const char *text = NULL;
    uint8_t seed[TACIT_SEED_BYTES];
    if (!take_bytes(cursor, &text, SEED_HEX_LENGTH)) {
        return false;
    }
    bool good = tacit_hex_decode(seed, sizeof seed, text, SEED_HEX_LENGTH);
    if (good) {
        tacit_keypair_from_seed(out, seed); // not in place: it writes its output first
    }
    tacit_secret_wipe(seed, sizeof seed);
    return good;
}

// Returns NULL, or what is wrong; `out` may then hold a secret that the caller must wipe.
static const char *keyfile_read_text(struct tacit_keypair *out, struct cursor *cursor)
{
    const char *public_text = NULL;
    struct tacit_public_key stated;
    if (!take_comment(cursor)) {
        return "the comment line is not \"# \" and 1 to 120 printable ASCII characters";
    }
    if (!take_literal(cursor, MAGIC_LINE)) {
        return "the line \"tacit-private-key-v1\" is missing";
    }
    if (!take_literal(cursor, PUBLIC_LABEL) ||
        !take_bytes(cursor, &public_text, TACIT_PUBLIC_KEY_TEXT_LENGTH) ||
        tacit_public_key_parse(&stated, public_text, TACIT_PUBLIC_KEY_TEXT_LENGTH, NULL) !=
            TACIT_OK ||
        !take_literal(cursor, "\n")) {
        return "the line \"public ed25519:<64 hex digits>\" is missing, cut short or damaged";
    }
    if (!take_literal(cursor, SECRET_LABEL) || !take_secret(cursor, out) ||
        !take_literal(cursor, "\n")) {
        return "the line \"secret <64 hex digits>\" is missing, cut short or damaged";
    }
    if (cursor->left != 0) {
        return "there are bytes after the secret's line";
    }
    if (!tacit_public_key_is_equal(&stated, &out->public_key)) {
        return "the public key does not belong to the secret, so one of the two is damaged";
    }
    return NULL;
}

enum tacit_status tacit_keyfile_parse(struct tacit_keypair *out, const char *text,
                                      size_t text_bytes, const char *name,
                                      struct tacit_error *error)
{
    struct cursor cursor = {.text = text, .left = text_bytes};
    tacit_keypair_wipe(out);
    const char *wrong = keyfile_read_text(out, &cursor);
    if (wrong == NULL) {
        return TACIT_OK;
    }
    tacit_keypair_wipe(out);
    return tacit_error_set(error, TACIT_EINVAL, 0, "%s is not a private-key file: %s", name, wrong);
}

// --- Writing
// ------------------------------------------------------------------------------------------

// Opens the directory of `path` and points `*base` at the last component.
static enum tacit_status directory_open(int *out, const char **base, const char *path,
                                        struct tacit_error *error)
{
    char directory[PATH_MAX];
    size_t length = strnlen(path, sizeof directory);
    if (length == 0 || length >= sizeof directory || path[length - 1] == '/') {
        return tacit_error_set(error, TACIT_EINVAL, 0,
                               "cannot create a key file: \"%.200s\" is no file name", path);
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(directory, ".", 2);
        *base = path;
    } else {
        size_t directory_length = slash == path ? 1 : (size_t)(slash - path);
        memcpy(directory, path, directory_length);
        directory[directory_length] = '\0';
        *base = slash + 1;
    }
    *out = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out >= 0) {
        return TACIT_OK;
    }
    int os_errno = errno;
    enum tacit_status status = os_errno == ENOENT || os_errno == ENOTDIR ? TACIT_ENOENT
                               : os_errno == EACCES                      ? TACIT_EPERM
                                                                         : TACIT_EIO;
    return tacit_error_set(error, status, os_errno,
                           "cannot create key file %s: its directory %.120s: %s", path, directory,
                           strerror(os_errno));
}

static bool write_all(int file, const char *data, size_t bytes)
{
    size_t done = 0;
    for (int calls = 0; calls < IO_CALLS_MAX && done < bytes; calls++) {
        ssize_t count = write(file, data + done, bytes - done);
        if (count > 0) {
            done += (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            break;
        }
    }
    return done == bytes;
}

// Fills the new file `base` in `directory` and puts both on disk. Closes the file.
static bool file_complete(int directory, int file, const char *text, size_t length, int *os_errno)
{
    errno = 0;
    // The umask may have taken bits from the mode that open was given.
    bool good =
        fchmod(file, S_IRUSR | S_IWUSR) == 0 && write_all(file, text, length) && fsync(file) == 0;
    *os_errno = errno;
    if (close(file) != 0 && good) {
        *os_errno = errno;
        good = false;
    }
    if (good && fsync(directory) != 0) {
        *os_errno = errno;
        good = false;
    }
    return good;
}

static enum tacit_status file_create(const char *path, const char *text, size_t length,
                                     struct tacit_error *error)
{
    int directory = -1;
    const char *base = path;
    enum tacit_status status = directory_open(&directory, &base, path, error);
    if (status != TACIT_OK) {
        return status;
    }
    int file = openat(directory, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    int os_errno = errno;
    if (file < 0 && os_errno == EEXIST) {
        status = tacit_error_set(error, TACIT_EEXIST, os_errno,
                                 "%s exists and is not overwritten: a key that is lost cannot be "
                                 "made again; choose another name or move it away",
                                 path);
    } else if (file < 0) {
        status = tacit_error_set(
            error, os_errno == EACCES || os_errno == EPERM ? TACIT_EPERM : TACIT_EIO, os_errno,
            "cannot create key file %s: %s", path, strerror(os_errno));
    } else if (!file_complete(directory, file, text, length, &os_errno)) {
        (void)unlinkat(directory, base, 0); // ours: O_EXCL made it; half a key is of no use
        status = tacit_error_set(error, TACIT_EIO, os_errno,
                                 "cannot write key file %s: %s; it was removed", path,
                                 strerror(os_errno));
    }
    (void)close(directory);
    return status;
}

enum tacit_status tacit_keyfile_write(const char *path, const struct tacit_keypair *keypair,
                                      const char *comment, struct tacit_error *error)
{
    char *text = tacit_secret_alloc(TACIT_KEYFILE_BYTES_MAX, error);
    if (text == NULL) {
        return TACIT_ENOMEM;
    }
    enum tacit_status status = TACIT_EINVAL;
    size_t length = tacit_keyfile_format(text, keypair, comment, error);
    if (length != 0) {
        status = file_create(path, text, length, error);
    }
    tacit_secret_free(text);
    return status;
}

// --- Loading
// ------------------------------------------------------------------------------------------

static enum tacit_status file_open(int *out, const char *path, struct tacit_error *error)
{
    // O_NONBLOCK: opening a FIFO must not wait for a writer. It does nothing on a regular file.
    *out = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*out >= 0) {
        return TACIT_OK;
    }
    int os_errno = errno;
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        return tacit_error_set(error, TACIT_ENOENT, os_errno,
                               "there is no private-key file %s; 'tacit keygen' makes one", path);
    case EACCES:
    case EPERM:
        return tacit_error_set(error, TACIT_EPERM, os_errno,
                               "user %lu may not read private-key file %s",
                               (unsigned long)geteuid(), path);
    case ELOOP:
        return tacit_error_set(error, TACIT_EINVAL, os_errno,
                               "private-key file %s is a symbolic link, not a regular file: name "
                               "the file itself",
                               path);
    case ENXIO: // a socket
        return tacit_error_set(error, TACIT_EINVAL, os_errno,
                               "private-key file %s is not a regular file", path);
    default:
        return tacit_error_set(error, TACIT_EIO, os_errno, "cannot open private-key file %s: %s",
                               path, strerror(os_errno));
    }
}

// Everything is asked of the open file, not of its name, so it cannot be exchanged in between.
static enum tacit_status file_check(int file, const char *path, struct tacit_error *error)
{
    struct stat facts;
    if (fstat(file, &facts) != 0) {
        return tacit_error_set(error, TACIT_EIO, errno, "cannot inspect private-key file %s: %s",
                               path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return tacit_error_set(error, TACIT_EINVAL, 0, "private-key file %s is not a regular file",
                               path);
    }
    uid_t user = geteuid();
    if (user != 0 && facts.st_uid != user && facts.st_uid != 0) {
        return tacit_error_set(error, TACIT_EPERM, 0,
                               "private-key file %s belongs to user %lu, not to user %lu who runs "
                               "this process (nor to root)",
                               path, (unsigned long)facts.st_uid, (unsigned long)user);
    }
    unsigned mode = (unsigned)facts.st_mode & 07777u;
    if ((mode & (S_IRWXG | S_IRWXO)) != 0) {
        return tacit_error_set(error, TACIT_EPERM, 0,
                               "private-key file %s has mode %04o, which gives others access to "
                               "it; run: chmod 600 %s",
                               path, mode, path);
    }
    return TACIT_OK;
}

static enum tacit_status file_read(char text[TACIT_KEYFILE_BYTES_MAX], size_t *length, int file,
                                   const char *path, struct tacit_error *error)
{
    *length = 0;
    for (int calls = 0; calls < IO_CALLS_MAX && *length < TACIT_KEYFILE_BYTES_MAX; calls++) {
        ssize_t count = read(file, text + *length, TACIT_KEYFILE_BYTES_MAX - *length);
        if (count == 0) {
            return TACIT_OK;
        }
        if (count > 0) {
            *length += (size_t)count;
        } else if (errno != EINTR) {
            return tacit_error_set(error, TACIT_EIO, errno, "cannot read private-key file %s: %s",
                                   path, strerror(errno));
        }
    }
    return tacit_error_set(error, TACIT_EINVAL, 0,
                           "%s is not a private-key file: it is longer than %d bytes", path,
                           TACIT_KEYFILE_BYTES_MAX - 1);
}

enum tacit_status tacit_keyfile_load(struct tacit_keypair *out, const char *path,
                                     struct tacit_error *error)
{
    memset(out, 0, sizeof *out);
    int file = -1;
    enum tacit_status status = file_open(&file, path, error);
    if (status != TACIT_OK) {
        return status;
    }
    status = file_check(file, path, error);
    if (status == TACIT_OK) {
        size_t length = 0;
        char *text = tacit_secret_alloc(TACIT_KEYFILE_BYTES_MAX, error);
        status = text == NULL ? TACIT_ENOMEM : file_read(text, &length, file, path, error);
        if (status == TACIT_OK) {
            status = tacit_keyfile_parse(out, text, length, path, error);
        }
        tacit_secret_free(text);
    }
    (void)close(file);
    return status;
}
