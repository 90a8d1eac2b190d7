// SPDX-License-Identifier: Apache-2.0
//
// Strict forms: one place has one text, so that duplicates show; see address.h.
#include "address.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "problems.h"
#include "scalar.h"

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == TACIT_CONFIG_SOCKET_BYTES,
               "a path that fits here fits into a socket's address");

#define SOCKET_PREFIX "socket:"
#define LOOPBACK "127.0.0.1"

bool address_join(const char *folder, const char *path, char out[TACIT_CONFIG_PATH_BYTES])
{
    const size_t length = strlen(folder);
    const bool is_bare = path[0] == '/' || length == 0 || strcmp(folder, ".") == 0;
    const char *joint = is_bare || folder[length - 1] == '/' ? "" : "/";
    const int wrote =
        snprintf(out, TACIT_CONFIG_PATH_BYTES, "%s%s%s", is_bare ? "" : folder, joint, path);
    return wrote >= 0 && (size_t)wrote < TACIT_CONFIG_PATH_BYTES;
}

bool address_folder(const char *path, char out[TACIT_CONFIG_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= TACIT_CONFIG_PATH_BYTES) {
        return false;
    }
    memcpy(out, slash == NULL ? "." : path, length);
    out[length] = '\0';
    return true;
}

// No empty, "." or ".." component, but for a leading slash.
static bool is_plain_path(const char *path)
{
    const char *at = *path == '/' ? path + 1 : path;
    for (;;) {
        const size_t length = strcspn(at, "/");
        if (length == 0 || (length == 1 && at[0] == '.') ||
            (length == 2 && at[0] == '.' && at[1] == '.')) {
            return false;
        }
        if (at[length] == '\0') {
            return true;
        }
        at += length + 1;
    }
}

static bool parse_socket(const char *runtime_dir, const char *text,
                         struct tacit_config_member *member, char why[TACIT_ADDRESS_WHY_BYTES])
{
    char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
    const size_t prefix = strlen(SOCKET_PREFIX);
    if (strncmp(text, SOCKET_PREFIX, prefix) != 0 || !is_plain_path(text + prefix)) {
        (void)snprintf(why, TACIT_ADDRESS_WHY_BYTES,
                       "%s is not the address of a Unix socket, which fabric: shm needs; accepted: "
                       "socket:PATH without empty, '.' and '..' parts, such as "
                       "socket:replica-0.sock",
                       problems_quote(quoted, text));
        return false;
    }
    char path[TACIT_CONFIG_PATH_BYTES];
    const bool fits = address_join(runtime_dir, text + prefix, path);
    const size_t length = fits ? strlen(path) : strlen(runtime_dir) + strlen(text);
    if (!fits || length >= sizeof member->socket_path) {
        (void)snprintf(why, TACIT_ADDRESS_WHY_BYTES,
                       "the path of the socket would have %zu bytes (%s in the folder of sockets); "
                       "accepted: %u bytes at most, a limit of the system; shorten it or set "
                       "paths.runtime_dir to a folder with a short name, such as /run/tacit",
                       length, problems_quote(quoted, text + prefix),
                       TACIT_CONFIG_SOCKET_BYTES - 1);
        return false;
    }
    memcpy(member->socket_path, path, length + 1);
    return true;
}

static bool is_host_character(char c, bool is_ipv6)
{
    const bool is_digit = c >= '0' && c <= '9';
    if (is_ipv6) {
        return is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
    }
    return is_digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
}

// Reads HOST:PORT, [IPV6]:PORT or :PORT.
static bool split_host(const char *text, struct tacit_config_member *member)
{
    const bool is_ipv6 = text[0] == '[';
    const char *host = is_ipv6 ? text + 1 : text;
    const size_t length = strcspn(host, is_ipv6 ? "]" : ":");
    const char *end = host + length;
    if (is_ipv6 && (*end != ']' || length == 0)) {
        return false;
    }
    end += is_ipv6;
    uint64_t port = 0;
    if (*end != ':' || scalar_parse(TACIT_SCALAR_COUNT, end + 1, &port) != TACIT_SCALAR_OK ||
        port == 0 || port > UINT16_MAX || length >= sizeof member->host) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_host_character(host[i], is_ipv6)) {
            return false;
        }
    }
    if (length == 0) {
        memcpy(member->host, LOOPBACK, sizeof LOOPBACK);
    } else {
        memcpy(member->host, host, length);
        member->host[length] = '\0';
    }
    member->port = (uint16_t)port;
    return true;
}

bool address_parse(enum tacit_config_fabric fabric, const char *runtime_dir, const char *text,
                   struct tacit_config_member *member, char why[TACIT_ADDRESS_WHY_BYTES])
{
    const size_t length = strlen(text);
    if (length >= sizeof member->address) {
        (void)snprintf(why, TACIT_ADDRESS_WHY_BYTES, "has %zu bytes; accepted: %u at most", length,
                       TACIT_CONFIG_ADDRESS_BYTES - 1);
        return false;
    }
    bool good = false;
    if (fabric == TACIT_CONFIG_SHM) {
        good = parse_socket(runtime_dir, text, member, why);
    } else {
        good = strncmp(text, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) != 0 && split_host(text, member);
        if (!good) {
            char quoted[TACIT_PROBLEMS_QUOTE_BYTES];
            (void)snprintf(why, TACIT_ADDRESS_WHY_BYTES,
                           "%s is not a host and port, which fabric: verbs needs; accepted: "
                           "HOST:PORT, [IPV6]:PORT or :PORT (on " LOOPBACK
                           "), with port 1 to 65535",
                           problems_quote(quoted, text));
        }
    }
    if (good) {
        memcpy(member->address, text, length + 1);
    }
    return good;
}

bool address_is_equal(const struct tacit_config_member *a, const struct tacit_config_member *b)
{
    return strcmp(a->socket_path, b->socket_path) == 0 && strcasecmp(a->host, b->host) == 0 &&
           a->port == b->port;
}
