// SPDX-License-Identifier: Apache-2.0
//
// The cluster file (one YAML file that all nodes of a cluster share) and the node file (what is one
// node's own: who it is, where its key and state are). Loading is strict and lists every problem
// with its line; the result is plain memory without a pointer into any parser.
//
// Grammar of every call: object or output first, then inputs; a length follows its pointer.
// Start-up code only: these calls read files, allocate while they run and format text. Nothing is
// kept and no memory is handed over. Any thread, on distinct objects, after tacit_crypto_init()
// returned TACIT_OK.
#ifndef TACIT_CONFIG_H
#define TACIT_CONFIG_H

#include <stdio.h>

#include "tacit/crypto.h"
#include "tacit/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TACIT_CONFIG_CHECKED __attribute__((warn_unused_result))

#define TACIT_CONFIG_VERSION 1u
#define TACIT_CONFIG_FILE_BYTES_MAX (256u * 1024u)
#define TACIT_CONFIG_NAME_BYTES 32u     // of a cluster or client, with the NUL
#define TACIT_CONFIG_HOST_BYTES 254u    // of a DNS name or IP address, with the NUL
#define TACIT_CONFIG_ADDRESS_BYTES 272u // of an address as it stands in the file, with the NUL
#define TACIT_CONFIG_SOCKET_BYTES 108u  // sun_path of struct sockaddr_un, with the NUL
#define TACIT_CONFIG_PATH_BYTES 1024u   // of a path, with the NUL
#define TACIT_CONFIG_CORES_MAX 64u
#define TACIT_CONFIG_PAGE_BYTES 4096u // unit of the application's arena
#define TACIT_CONFIG_PROBLEMS_MAX 64u
#define TACIT_CONFIG_FILE_NAME_BYTES 256u

// Purposes of digests in apps (see tacit_domain_t).
enum tacit_config_domain { TACIT_DOMAIN_CLUSTER_FILE = 0x0700 };

// The numbers of these enums are part of the digest: never renumber them.
enum tacit_config_mode { TACIT_CONFIG_CRASH = 0, TACIT_CONFIG_BYZANTINE = 1 };
enum tacit_config_log_on { TACIT_CONFIG_LOG_ON_REPLICAS = 0, TACIT_CONFIG_LOG_ON_MEMNODES = 1 };
enum tacit_config_broadcast_on {
    TACIT_CONFIG_BROADCAST_ON_REPLICAS = 0,
    TACIT_CONFIG_BROADCAST_ON_MEMNODES = 1,
};
enum tacit_config_fabric { TACIT_CONFIG_SHM = 0, TACIT_CONFIG_VERBS };
enum tacit_config_waiting { TACIT_CONFIG_SPIN = 0, TACIT_CONFIG_YIELD, TACIT_CONFIG_ADAPTIVE };
// The same numbers as the roles of the handshake.
enum tacit_config_role {
    TACIT_CONFIG_REPLICA = 1,
    TACIT_CONFIG_MEMNODE = 2,
    TACIT_CONFIG_CLIENT = 3,
    TACIT_CONFIG_OPERATOR = 4,
    // Ids 1 .. of the cluster file. In the handshake they have the role and id of a seat, or are
    // clients while they stand by.
    TACIT_CONFIG_SPARE_REPLICA = 5,
    TACIT_CONFIG_SPARE_MEMNODE = 6,
};

// A replica or a memory node. Which of socket_path and {host, port} is filled in depends on the
// fabric; the other one is empty.
struct tacit_config_member {
    uint16_t id;                                 // its index in the array; spares: + 1
    uint16_t port;                               // verbs: 1 .. 65535
    char address[TACIT_CONFIG_ADDRESS_BYTES];    // as it stands in the file
    char socket_path[TACIT_CONFIG_SOCKET_BYTES]; // shm: path that can be bound as it is
    char host[TACIT_CONFIG_HOST_BYTES];          // verbs: DNS name, IPv4, or IPv6 without brackets
    struct tacit_public_key public_key;
    uint16_t client; // as which it stands by; TACIT_CONFIG_NO_CLIENT: none
};
#define TACIT_CONFIG_NO_CLIENT 0xffffu

struct tacit_config_client {
    uint16_t id;                        // below limits.clients_max; the array is sorted by it
    char name[TACIT_CONFIG_NAME_BYTES]; // may be empty
    struct tacit_public_key public_key;
};

// Sections of numbers; ranges and defaults are in the key table (tacit_config_keys_print). The
// fields that belong to the other mode hold their defaults.
struct tacit_config_limits {
    uint64_t request_bytes;
    uint64_t reply_bytes;
    uint64_t batch_bytes;
    uint64_t batch_requests;
    uint64_t log_entries; // crash mode
    uint64_t inflight;    // crash mode: k
    uint64_t clients_max;
    uint64_t sessions_per_client;
    uint64_t session_pipeline;
    uint64_t window; // Byzantine mode
    uint64_t tail;   // Byzantine mode
};

struct tacit_config_memory {
    uint64_t arena_bytes;
};

struct tacit_config_timing {
    uint64_t beat_period_ns;
    uint64_t suspicion_ns;
    uint64_t permission_timeout_ns; // crash mode
    uint64_t laggard_after_ns;      // crash mode
    uint64_t lease_ns;              // crash mode; 0: none
    uint64_t client_retry_ns;
    uint64_t drift_ppm;
    uint64_t slow_after_ns; // this and the next: Byzantine mode. 0: see below
    uint64_t cooldown_ns;
    uint64_t retry_ns;
    uint64_t join_after_ns;
    uint64_t view_timeout_ns;
    uint64_t view_timeout_max_ns;
    uint64_t replace_after_ns; // 0: by order only
};

// Relative paths in the file are relative to base_dir, the folder of the cluster file.
struct tacit_config_paths {
    char base_dir[TACIT_CONFIG_PATH_BYTES];    // not a key
    char runtime_dir[TACIT_CONFIG_PATH_BYTES]; // as it stands in the file
    char state_dir[TACIT_CONFIG_PATH_BYTES];   // as it stands in the file, with {node} in it
};

struct tacit_config {
    char name[TACIT_CONFIG_NAME_BYTES];
    enum tacit_config_mode mode;
    enum tacit_config_fabric fabric;
    enum tacit_config_log_on log_on;             // crash mode
    enum tacit_config_broadcast_on broadcast_on; // Byzantine mode
    enum tacit_config_waiting waiting;
    uint32_t f;  // faulty replicas that are tolerated
    uint32_t fm; // crashed memory nodes that are tolerated
    uint32_t replica_count;
    uint32_t memnode_count;
    uint32_t spare_replica_count;
    uint32_t spare_memnode_count;
    uint32_t client_count;
    uint32_t core_count;
    struct tacit_config_member replicas[TACIT_REPLICAS_MAX];     // replicas[i].id == i
    struct tacit_config_member memnodes[TACIT_MEMNODES_MAX];     // memnodes[i].id == i
    struct tacit_config_member spare_replicas[TACIT_SPARES_MAX]; // [i].id == i + 1
    struct tacit_config_member spare_memnodes[TACIT_SPARES_MAX]; // [i].id == i + 1
    struct tacit_config_client clients[TACIT_CLIENTS_MAX];
    uint16_t cores[TACIT_CONFIG_CORES_MAX];
    bool has_operator_key;
    struct tacit_public_key operator_key;
    struct tacit_config_limits limits;
    struct tacit_config_memory memory;
    struct tacit_config_timing timing;
    struct tacit_config_paths paths;
};

// A note tells something that is allowed but perhaps not meant; an error makes the file refused.
enum tacit_config_severity { TACIT_CONFIG_ERROR = 0, TACIT_CONFIG_NOTE };

struct tacit_config_problem {
    enum tacit_config_severity severity;
    uint32_t line;   // from 1; 0: the file as a whole
    uint32_t column; // from 1; 0 with line 0
    char text[480];  // what is wrong and what is accepted; printable ASCII
};

// All that is wrong with one file, sorted by line. Some 30 KiB.
struct tacit_config_problems {
    char file[TACIT_CONFIG_FILE_NAME_BYTES]; // printable; cut in the middle when too long
    uint32_t count;
    uint32_t errors;  // among items[0 .. count) and the dropped ones
    uint32_t dropped; // did not fit; their number is all that is known of them
    struct tacit_config_problem items[TACIT_CONFIG_PROBLEMS_MAX];
};

// --- Loading ------------------------------------------------------------------------------------

// Loads the cluster file `path` into `config` and fills in `problems` (also when all is well:
// notes). Errors: TACIT_EINVAL (the contents), TACIT_ENOENT, TACIT_EPERM, TACIT_EIO, TACIT_ENOMEM,
// TACIT_ETOOBIG (above TACIT_CONFIG_FILE_BYTES_MAX); `problems` then holds at least one error, and
// `config` holds what could be read and must not be used to run a node.
TACIT_CONFIG_CHECKED enum tacit_status tacit_config_load(const char *path,
                                                         struct tacit_config *config,
                                                         struct tacit_config_problems *problems);

// The same from memory. `file` names the text in messages; `base_dir` (absolute or not) is what
// relative paths are relative to. Touches no file. Any bytes are allowed.
TACIT_CONFIG_CHECKED enum tacit_status tacit_config_parse(const char *text, size_t text_bytes,
                                                          const char *file, const char *base_dir,
                                                          struct tacit_config *config,
                                                          struct tacit_config_problems *problems);

// Writes problem `index` (below problems->count) as "FILE:LINE:COLUMN: error: TEXT" and a NUL to
// `out`, cut at `out_bytes`.
void tacit_config_problem_format(const struct tacit_config_problems *problems, uint32_t index,
                                 char *out, size_t out_bytes);

// Fills `error` (may be NULL) with the first error in `problems` and the number of the others, and
// returns `status`.
enum tacit_status tacit_config_problems_to_error(const struct tacit_config_problems *problems,
                                                 enum tacit_status status,
                                                 struct tacit_error *error);

// --- Looking things up --------------------------------------------------------------------------

// Log hosts that must have acknowledged (crash mode): a majority of the replicas or memory nodes.
uint32_t tacit_config_log_quorum(const struct tacit_config *config);

// Byzantine mode: timing.slow_after_ns, or what it is by default: 1 ms where threads sleep
// (`waiting: adaptive`), so that a wake-up is not taken for a fault, else 100 us.
uint64_t tacit_config_slow_after_ns(const struct tacit_config *config);

// The public key of a node, inside `config`; NULL when the file does not name that node. `id` is
// ignored for the operator; a client is one of `clients`, or a node that stands by as that client.
const struct tacit_public_key *tacit_config_public_key(const struct tacit_config *config,
                                                       enum tacit_config_role role, uint16_t id);

// A replica, memory node or spare as the file lists it; NULL: it does not.
const struct tacit_config_member *tacit_config_member(const struct tacit_config *config,
                                                      enum tacit_config_role role, uint16_t id);
// Who body `body` of a seat is (tacit/types.h): `role` and `id` are the seat's, REPLICA or MEMNODE.
// NULL: nobody.
const struct tacit_config_member *tacit_config_body(const struct tacit_config *config,
                                                    enum tacit_config_role role, uint16_t id,
                                                    uint32_t body);
// How many client ids are used: by clients and by nodes that stand by.
uint32_t tacit_config_client_ids(const struct tacit_config *config);

// Writes the name of a node as files and folders use it, such as "replica-0" or "operator", and a
// NUL to `out`.
void tacit_config_node_name(enum tacit_config_role role, uint16_t id,
                            char out[TACIT_CONFIG_NAME_BYTES]);

// Writes the folder of sockets, or of a node's state, as a path that can be opened. Errors:
// TACIT_ETOOBIG when it does not fit into TACIT_CONFIG_PATH_BYTES.
TACIT_CONFIG_CHECKED enum tacit_status tacit_config_runtime_dir(const struct tacit_config *config,
                                                                char out[TACIT_CONFIG_PATH_BYTES],
                                                                struct tacit_error *error);
TACIT_CONFIG_CHECKED enum tacit_status
tacit_config_state_dir(const struct tacit_config *config, enum tacit_config_role role, uint16_t id,
                       char out[TACIT_CONFIG_PATH_BYTES], struct tacit_error *error);

// Digest of the part that all nodes must agree on and that never changes: version, mode, f, fm,
// log_on, broadcast_on, limits, memory, timing. Names, members, keys, addresses, fabric, waiting,
// cores and paths are not in it. `config` must come from a load that returned TACIT_OK.
void tacit_config_digest(struct tacit_digest *out, const struct tacit_config *config);

// --- Writing ------------------------------------------------------------------------------------

// Prints the documentation of every key: type, unit, range, default, meaning (`tacit check
// --keys`). False when `out` could not take it.
TACIT_CONFIG_CHECKED bool tacit_config_keys_print(FILE *out);

// Prints `config` as a cluster file with every key of its mode spelled out. False when `out` could
// not take it.
TACIT_CONFIG_CHECKED bool tacit_config_print(FILE *out, const struct tacit_config *config);

// Writes `config` to `path`: first checks that the text would be accepted there, then writes a
// temporary file beside it, fsyncs and renames. Never overwrites (TACIT_EEXIST, dangling links
// included), never leaves a partial file. Other errors: TACIT_EINVAL (the configuration),
// TACIT_ENOENT (no such folder), TACIT_EPERM, TACIT_EIO, TACIT_ENOMEM, TACIT_ETOOBIG (path).
TACIT_CONFIG_CHECKED enum tacit_status
tacit_config_write(const char *path, const struct tacit_config *config, struct tacit_error *error);

// What `tacit keygen` and `tacit local up` ask for.
struct tacit_config_plan {
    const char *name; // of the cluster
    enum tacit_config_mode mode;
    enum tacit_config_fabric fabric;
    enum tacit_config_log_on log_on;
    uint32_t replicas;                       // 1 .. TACIT_REPLICAS_MAX
    uint32_t memnodes;                       // 0 .. TACIT_MEMNODES_MAX
    uint32_t clients;                        // 0 .. TACIT_CLIENTS_MAX
    uint32_t spare_replicas, spare_memnodes; // each 0 .. TACIT_SPARES_MAX
    const char *host;                        // verbs: of everybody; NULL: 127.0.0.1
    uint16_t port;                           // verbs: first port there; replicas, then memory nodes
    bool operator_key;                       // also make a key for the operator
};

// Fills `config` with the defaults for `plan`; public keys are all zeros and are the caller's to
// fill in. Checks only the counts; tacit_config_write checks the whole. Errors: TACIT_EINVAL.
TACIT_CONFIG_CHECKED enum tacit_status tacit_config_plan_fill(struct tacit_config *config,
                                                              const struct tacit_config_plan *plan,
                                                              struct tacit_error *error);

// Makes a cluster in the existing folder `directory`: for each node NAME (replica-0, memnode-0,
// client-0, operator, ...) a fresh key pair in NAME.key (mode 0600) and a node file NAME.yaml, and
// cluster.yaml, which is written last, so that a folder that has it is complete. Fills in `config`.
// Overwrites nothing (TACIT_EEXIST); when it fails, what this call made is removed again. Other
// errors as tacit_config_write and tacit_keyfile_write.
TACIT_CONFIG_CHECKED enum tacit_status tacit_config_generate(const char *directory,
                                                             const struct tacit_config_plan *plan,
                                                             struct tacit_config *config,
                                                             struct tacit_error *error);

// --- Node file ----------------------------------------------------------------------------------

// What a node insists on with `fabric: verbs`, instead of what belongs to its address.
struct tacit_config_rdma {
    char device[TACIT_CONFIG_NAME_BYTES]; // empty: any
    uint32_t port;                        // 0: any
    bool has_gid_index;
    uint32_t gid_index;
    uint32_t mtu_bytes; // 0: as large as the port takes
};

struct tacit_node_file {
    enum tacit_config_role role;
    uint16_t id;                                // 0 for the operator
    char cluster_path[TACIT_CONFIG_PATH_BYTES]; // these three can be opened as they are
    char key_path[TACIT_CONFIG_PATH_BYTES];
    char state_dir[TACIT_CONFIG_PATH_BYTES]; // empty: the cluster file's pattern decides
    struct tacit_config_rdma rdma;
};

// Like tacit_config_load. Does not open the key file: tacit_keyfile_load does and checks its mode.
TACIT_CONFIG_CHECKED enum tacit_status tacit_node_file_load(const char *path,
                                                            struct tacit_node_file *node,
                                                            struct tacit_config_problems *problems);

// Like tacit_config_parse.
TACIT_CONFIG_CHECKED enum tacit_status
tacit_node_file_parse(const char *text, size_t text_bytes, const char *file, const char *base_dir,
                      struct tacit_node_file *node, struct tacit_config_problems *problems);

// Checks that `config` names the node and, if `key` is not NULL, with this public key; fills in an
// empty state_dir from the cluster file's pattern. Errors: TACIT_ENOENT (no such node), TACIT_EAUTH
// (another key), TACIT_ETOOBIG (path).
TACIT_CONFIG_CHECKED enum tacit_status tacit_node_file_match(struct tacit_node_file *node,
                                                             const struct tacit_config *config,
                                                             const struct tacit_public_key *key,
                                                             struct tacit_error *error);

// Prints the documentation of the keys of a node file. False when `out` could not take it.
TACIT_CONFIG_CHECKED bool tacit_node_file_keys_print(FILE *out);

// --- Memory figures -----------------------------------------------------------------------------

struct tacit_config_figure_part {
    const char *what; // static text
    bool is_known;
    uint64_t count;
    uint64_t each_bytes; // 0 when not known
};

// How large each part is, in bytes, asked from the code that lays it out. An entry may be NULL:
// then that part is listed as not known instead of guessed. No entry may keep its arguments.
struct tacit_config_sizes {
    // One candidate's log region at one log host (crash mode).
    uint64_t (*log_region)(const struct tacit_config *config);
    // What else a host publishes to and takes from its peers: pages, control words, beats.
    uint64_t (*host_control)(const struct tacit_config *config);
    // All of a replica, part by part: fills in up to `max`, all known, and returns their number.
    uint32_t (*replica_parts)(const struct tacit_config *config,
                              struct tacit_config_figure_part *parts, uint32_t max);
    // All registers on one memory node (Byzantine mode).
    uint64_t (*memnode_registers)(const struct tacit_config *config);
    // In a client for one replica: its reply ring and what goes with it.
    uint64_t (*client_per_replica)(const struct tacit_config *config);
};

// 128 bytes of words, then log_entries slots of {48 bytes of header and the payload, rounded up to
// 64 bytes; and a line of 64 bytes}. Fits the entry log_region of tacit_config_sizes.
uint64_t tacit_config_log_region_bytes(const struct tacit_config *config);

#define TACIT_CONFIG_FIGURE_PARTS_MAX 16u

// One kind of node: the sum over the parts that are known.
struct tacit_config_figure {
    bool is_complete; // every part is known
    uint32_t part_count;
    struct tacit_config_figure_part parts[TACIT_CONFIG_FIGURE_PARTS_MAX];
    uint64_t total_bytes; // saturates at UINT64_MAX
};

struct tacit_config_figures {
    struct tacit_config_figure replica, memnode, client;
};

// Fills in `out`: the memory of one node of each kind under `config`.
void tacit_config_figures_fill(struct tacit_config_figures *out, const struct tacit_config *config,
                               const struct tacit_config_sizes *sizes);

// Prints the figures for a person. False when `out` could not take it.
TACIT_CONFIG_CHECKED bool tacit_config_figures_print(FILE *out,
                                                     const struct tacit_config_figures *figures);

#ifdef __cplusplus
}
#endif

#endif
