// SPDX-License-Identifier: Apache-2.0
//
// Wrong cluster files as a user writes them: a table, each with the line and the words that its
// message must have; what has too much of something.
#include "config_texts.h"

#include "apps/config/raw.h"

#define MANY_KEYS                                                                                  \
    "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\ng: 1\nh: 1\ni: 1\nj: 1\nk: 1\nl: 1\nm: 1\nn: 1\no: 1\np: 1\n"

struct wrong_case {
    const char *base; // NULL: `to` is the whole file
    const char *from; // the text that is replaced
    const char *to;
    uint32_t line;        // of the message
    uint32_t errors;      // in all: one mistake is one message
    const char *says;     // what is wrong
    const char *accepted; // what would be right
};

#define SPARE "spare_replicas:\n  - {id: 1, address: socket:s1, public_key: @7@, client: 7}\n"

static const struct wrong_case wrong_cases[] = {
    // spares
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 1, address: socket:s1, public_key: @7@}\n", 12, 1,
     "spare_replicas[0].client: is missing", "a client id of its own"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 0, address: socket:s1, public_key: @7@, client: 7}\n",
     12, 1, "id 0 is a founder's", "accepted: 1 to 1"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 2, address: socket:s1, public_key: @7@, client: 7}\n",
     12, 1, "id 2 is too large", "accepted: 1 to 1"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 15, address: socket:s1, public_key: @7@, client: "
     "7}\n",
     12, 1, "'15' is out of range", "0 to 14"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 1, address: socket:s1, public_key: @7@, client: 0}\n",
     12, 1, "client: id 0 is taken already, in line 14", "another one"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_replicas:\n  - {id: 1, address: socket:s1, public_key: @7@, client: 8}\n",
     12, 1, "client: id 8 is not below limits.clients_max (8)", "0 to 7"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\n" SPARE "  - {id: 1, address: socket:s2, public_key: @5@, client: 6}\n", 13, 1,
     "id 1 is taken already", "1 to 2, each once"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\n" SPARE "  - {id: 2, address: socket:s2, public_key: @5@, client: 7}\n", 13, 1,
     "client: id 7 is taken already, in line 12", "another one"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_memnodes:\n  - {id: 1, address: socket:r2, public_key: @7@, client: 7}\n",
     12, 1, "'socket:r2' is taken already, in line 9", "one address a node"},
    {crash_text, "memnodes: []\n",
     "memnodes: []\nspare_memnodes:\n  - {id: 1, address: socket:s1, public_key: @0@, client: 7}\n",
     12, 1, "this key is taken already, in line 7", "tacit keygen"},
    {crash_text, "suspicion: 20ms", "suspicion: 20ms\n  replace_after: 2h", 21, 1, "replace_after",
     "0ns to"},
    // structure
    {NULL, NULL, "", 0, 1, "the file is empty", "empty"},
    {NULL, NULL, "# nothing\n", 0, 1, "the file is empty", "empty"},
    {NULL, NULL, "- a\n- b\n", 1, 1, "the file: is a list", "accepted: keys and values"},
    {NULL, NULL, "hello\n", 1, 1, "is a single value", "accepted: keys and values"},
    {NULL, NULL, "version: 1\n\tname: x\n", 2, 1, "not YAML", "tab"},
    {NULL, NULL, "cores: [1\n", 2, 1, "not YAML", "line 1"},
    {NULL, NULL, "version: 1\nname: \xff\xfe\n", 2, 1, "not YAML", "UTF-8"},
    {NULL, NULL, "version: 1\nname: \x01\n", 2, 1, "not YAML", "control"},
    {crash_text, "name: demo\n", "name: demo\ncolour: red\n", 3, 1, "unknown key 'colour'",
     "accepted: version, name, mode, f, fm, fabric, log_on"},
    {crash_text, "name: demo\n", "name: demo\ncolour: {a: [1, {b: 2}]}\n", 3, 1,
     "unknown key 'colour'", "accepted: version"},
    {crash_text, "name: demo\n", "name: demo\n\"f\\0x\": 1\n", 3, 1, "unknown key 'f'", "accepted"},
    {crash_text, "name: demo\n", "name: demo\n\"\\x1b[2J\": 1\n", 3, 1, "unknown key '\\x1b[2J'",
     "accepted"},
    {crash_text, "  inflight: 16\n", "  inflights: 16\n", 18, 1,
     "unknown key 'inflights' in limits", "inflight, clients_max"},
    {crash_text, "    name: gateway\n", "    address: x\n", 13, 1,
     "unknown key 'address' in clients", "accepted: id, name, public_key"},
    {crash_text, "waiting: adaptive\n", "waiting: adaptive\nname: other\n", 25, 1,
     "name: repeated key", "line 2"},
    {crash_text, "  inflight: 16\n", "  inflight: 16\n  log_entries: 1024\n", 19, 1,
     "limits.log_entries: repeated key", "line 17"},
    {crash_text, "    name: gateway\n", "    name: gateway\n    id: 1\n", 14, 1,
     "clients[0].id: repeated key", "line 12"},
    {crash_text, "name: demo\n", "name: demo\n? [a, b]\n: 1\n", 3, 1, "a key must be a plain word",
     "not a list"},
    {crash_text, "name: demo", "name: [demo]", 2, 1, "name: is a list", "accepted: a letter"},
    {crash_text, "name: demo", "name: {a: b}", 2, 1, "name: is a section of keys", "a letter"},
    {crash_text, "memnodes: []", "memnodes: none", 10, 1, "memnodes: is a single value",
     "a list of 0 to 15 entries; write [] for none"},
    {crash_text, "memnodes: []", "memnodes:", 10, 1, "memnodes: is nothing", "write []"},
    {crash_text, "memnodes: []", "memnodes: [7]", 10, 1, "memnodes[0]: is a single value",
     "accepted: a section of keys"},
    {crash_text, "{arena_bytes: 1MiB}", "1MiB", 23, 1, "memory: is a single value",
     "a section of keys"},
    {crash_text, "[0, 2]", "[0, [2]]", 25, 1, "cores[1]: is a list", "a number"},
    {crash_text, "name: demo", "name: &x demo", 2, 1, "anchors, aliases and tags",
     "write the value"},
    {crash_text, "name: demo", "name: !!str demo", 2, 1, "anchors, aliases and tags", "name"},
    {crash_text, "{arena_bytes: 1MiB}", "*x", 23, 1, "memory: anchors, aliases", "write the value"},
    {crash_text, "name: demo\n", "name: demo\n<<: {f: 2}\n", 3, 1, "unknown key '<<'", "accepted"},
    {crash_text, "name: demo", "name: \"de\\nmo\"", 2, 1, "line break or control character",
     "a letter"},
    {crash_text, "cores: [0, 2]\n", "cores: [0, 2]\n---\nf: 1\n", 26, 1, "a second document",
     "accepted: one"},
    {crash_text, "cores: [0, 2]", "other: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", 25, 2,
     "nested too deeply", "3 levels"},
    {crash_text, "[0, 2]", "[0, 2", 26, 1, "not YAML", "line 25"},
    // required keys, words, names
    {crash_text, "version: 1\n", "", 1, 1, "version: is missing", "accepted: 1"},
    {crash_text, "version: 1\n", "version: 2\n", 1, 1, "version: '2' is out of range",
     "accepted: 1"},
    {crash_text, "version: 1\n", "version: 1x\n", 1, 1, "'1x' is not a plain number",
     "accepted: 1"},
    {crash_text, "name: demo\n", "", 1, 1, "name: is missing", "a letter"},
    {crash_text, "mode: crash\n", "", 1, 1, "mode: is missing", "crash or byzantine"},
    {crash_text, "mode: crash", "mode: raft", 3, 1, "mode: 'raft' is not known",
     "crash or byzantine"},
    {crash_text, "mode: crash", "mode: Crash", 3, 1, "'Crash' is not known", "crash or byzantine"},
    {crash_text, "mode: crash", "mode:", 3, 1, "mode: '' is not known", "crash or byzantine"},
    {crash_text, "fabric: shm", "fabric: tcp", 5, 1, "fabric: 'tcp' is not known", "shm or verbs"},
    {crash_text, "waiting: adaptive", "waiting: sleep", 24, 1, "waiting: 'sleep'",
     "spin, yield or adaptive"},
    {crash_text, "name: demo", "name: 9lives", 2, 1, "name: '9lives' is no name", "a letter, then"},
    {crash_text, "name: demo", "name: de/mo", 2, 1, "'de/mo' is no name", "31 characters"},
    {crash_text, "name: demo", "name: abcdefghijklmnopqrstuvwxyzabcdef", 2, 1, "is no name",
     "31 characters at most"},
    // numbers
    {crash_text, "request_bytes: 4KiB", "request_bytes: 4096", 16, 1, "'4096' has no unit",
     "64B to 64KiB, in B, KiB, MiB or GiB"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: 4kB", 16, 1, "one of the units", "64KiB"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: 128KiB", 16, 1, "'128KiB' is out of range",
     "64B to 64KiB"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: 1B", 16, 1, "'1B' is out of range", "64B"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: -4KiB", 16, 1, "'-4KiB' is not a number",
     "64B"},
    {crash_text, "request_bytes: 4KiB", "request_bytes:", 16, 1, "has no value", "64B to 64KiB"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: 99999999999999999999B", 16, 1,
     "is out of range", "64B to 64KiB"},
    {crash_text, "log_entries: 512", "log_entries: 500", 17, 1, "'500' is not a power of two",
     "64 to 65536, a power of two"},
    {crash_text, "log_entries: 512", "log_entries: 0512", 17, 1, "begins with a zero",
     "64 to 65536"},
    {crash_text, "inflight: 16", "inflight: 0", 18, 1, "'0' is out of range", "1 to 1024"},
    {crash_text, "suspicion: 20ms", "suspicion: 20", 20, 1, "'20' has no unit", "ns, us, ms or s"},
    {crash_text, "suspicion: 20ms", "suspicion: 2m", 20, 1, "'2m'", "100us to 60s"},
    {crash_text, "suspicion: 20ms", "drift_ppm: 10us", 20, 1, "this key has no unit", "0 to 10000"},
    {crash_text, "arena_bytes: 1MiB", "arena_bytes: 5000B", 23, 1, "not a multiple of 4KiB",
     "4KiB to 64GiB"},
    {crash_text, "[0, 2]", "[0, 2, 0]", 25, 1, "cores[2]: '0' is in the list already", "each once"},
    {crash_text, "[0, 2]", "[0, x]", 25, 1, "cores[1]: 'x' is not the number of a core",
     "0 to 1023"},
    {crash_text, "[0, 2]", "[0, 1024]", 25, 1, "cores[1]: '1024'", "0 to 1023"},
    // keys against each other
    {crash_text, "inflight: 16", "inflight: 256", 17, 1, "not more than 2 x inflight = 512",
     "at most 255"},
    {crash_text, "log_entries: 512", "batch_bytes: 4119B", 17, 1, "cannot hold a request", "4120B"},
    {crash_text, "log_entries: 512", "batch_bytes: 4KiB", 17, 1, "cannot hold a request",
     "at least 4120B"},
    {crash_text, "request_bytes: 4KiB", "request_bytes: 16KiB", 16, 1, "cannot hold a request",
     "at least 16408B"},
    {crash_text, "suspicion: 20ms", "suspicion: 1ms", 20, 1, "more than 2 x beat_period",
     "a shorter beat_period"},
    {crash_text, "suspicion: 20ms", "laggard_after: 20ms", 20, 1, "must be more than suspicion",
     "a longer laggard_after"},
    {crash_text, "inflight: 16", "window: 256", 18, 1,
     "limits.window: has no meaning in crash mode", "leave the key out"},
    {byzantine_text, "window: 256", "log_entries: 512", 15, 1, "no meaning in byzantine mode",
     "leave the key out"},
    {byzantine_text, "fm: 1\n", "fm: 1\nlog_on: memnodes\n", 5, 1, "log_on: has no meaning",
     "leave"},
    {crash_text, "fabric: shm\n", "fabric: shm\nbroadcast_on: replicas\n", 6, 1,
     "broadcast_on: has no meaning in crash mode", "leave the key out"},
    {crash_text, "suspicion: 20ms", "view_timeout: 5ms", 20, 1,
     "timing.view_timeout: has no meaning in crash mode", "leave the key out"},
    {byzantine_text, "fm: 1\n", "fm: 1\nbroadcast_on: moon\n", 5, 1, "'moon' is not known",
     "replicas or memnodes"},
    {byzantine_text, "window: 256", "window: 255", 15, 1, "is not a power of two", "16 to 4096"},
    {byzantine_text, "tail: 128", "tail: 2048", 16, 1, "'2048' is out of range", "16 to 1024"},
    {byzantine_text, "limits:\n", "timing:\n  slow_after: 5\nlimits:\n", 15, 1, "'5' has no unit",
     "10us to 1s"},
    {byzantine_text, "limits:\n", "timing:\n  cooldown: 11ms\nlimits:\n", 15, 1,
     "'11ms' is out of range", "1us to 10ms"},
    {byzantine_text, "limits:\n", "timing:\n  retry: 49us\nlimits:\n", 15, 1,
     "'49us' is out of range", "50us to 10s"},
    {byzantine_text, "limits:\n", "timing:\n  join_after: 61s\nlimits:\n", 15, 1,
     "'61s' is out of range", "100us to 60s"},
    {byzantine_text, "limits:\n", "timing:\n  view_timeout: 2ms\nlimits:\n", 15, 1,
     "view_timeout = 2ms must be more than 2 x slow_after = 2ms", "a shorter slow_after"},
    {byzantine_text, "limits:\n", "timing:\n  slow_after: 2500us\nlimits:\n", 15, 1,
     "view_timeout = 5ms must be more than 2 x slow_after = 5ms", "a longer view_timeout"},
    {byzantine_text, "limits:\n", "timing:\n  view_timeout_max: 4ms\nlimits:\n", 15, 1,
     "view_timeout_max is less than view_timeout", "at least as long"},
    // all problems of one file at once
    {byzantine_text, "limits:\n",
     "broadcast_on: here\ntiming:\n  slow_after: 0ms\n  retry: 1\nlimits:\n", 16, 3,
     "timing.slow_after", "10us to 1s"},
    // nodes and faults
    {crash_text, "f: 1\n", "f: 2\n", 4, 1, "f = 2 needs at least 5 replicas (2f+1), but 3",
     "accepted: 1, or leave"},
    {crash_text, "f: 1\n", "f: 0\n", 4, 1, "3 replicas listed tolerate f = 1", "accepted: 1"},
    {crash_text, "f: 1\n", "f: 15\n", 4, 1, "f: '15' is out of range", "0 to 14"},
    {crash_text, "  - {id: 2, address: socket:r2, public_key: @2@}\n", "", 4, 1,
     "f = 1 needs at least 3 replicas (2f+1), but 2 are listed", "accepted: 0"},
    {crash_text, "memnodes: []",
     "memnodes: [{id: 0, address: socket:m0, public_key: @3@},\n"
     "  {id: 1, address: socket:m1, public_key: @4@}]",
     10, 1, "2 memory nodes are listed", "an odd number (2fm+1)"},
    {crash_text, "fabric: shm\n", "fabric: shm\nlog_on: memnodes\n", 11, 1,
     "log_on: memnodes needs memory nodes", "such as 3"},
    {crash_text, "fabric: shm\n", "fabric: shm\nfm: 1\n", 6, 1,
     "fm = 1 needs exactly 3 memory nodes", "accepted: 0"},
    {crash_text, "mode: crash\nf: 1\n", "mode: byzantine\nf: 1\n", 10, 3,
     "byzantine mode needs memory nodes", "such as 3"},
    {byzantine_text, "  - {id: 2, address: \"[fe80::1]:7000\", public_key: @2@}\n", "", 6, 1,
     "exactly 2f+1 replicas with f at least 1, but 2 are listed", "3, 5, 7, 9, 11, 13 or 15"},
    {NULL, NULL,
     "version: 1\nname: x\nmode: byzantine\nreplicas:\n"
     "  - {id: 0, address: socket:r0, public_key: @0@}\n"
     "memnodes: [{id: 0, address: socket:m0, public_key: @3@}]\n",
     4, 1, "exactly 2f+1 replicas with f at least 1, but 1 is listed", "3, 5, 7"},
    {byzantine_text, "fm: 1\n", "fm: 1\nf: 2\n", 5, 1, "f = 2 needs at least 5 replicas",
     "accepted: 1"},
    {byzantine_text, "fm: 1\n", "fm: 0\n", 4, 1, "fm = 0 needs exactly 1 memory nodes",
     "accepted: 1"},
    {NULL, NULL, "version: 1\nname: x\nmode: crash\nreplicas: []\n", 4, 1, "replicas: is empty",
     "1 to 15 entries"},
    {NULL, NULL, "version: 1\nname: x\nmode: crash\n", 1, 1, "replicas: is missing",
     "id, address and public_key"},
    // members
    {crash_text, "{id: 2, ", "{", 9, 1, "replicas[2].id: is missing", "0 to 14"},
    {crash_text, "{id: 2, ", "{id: 1, ", 9, 1, "replicas[2].id: id 1 is taken already, in line 8",
     "0 to 2, each once"},
    {crash_text, "{id: 2, ", "{id: 3, ", 9, 1, "id 3 is too large for 3 entries", "0 to 2"},
    {crash_text, "{id: 2, ", "{id: 15, ", 9, 1, "'15' is out of range", "0 to 14"},
    {crash_text, "address: socket:r2, ", "", 9, 1, "replicas[2].address: is missing",
     "socket:PATH"},
    {crash_text, "socket:r2", "r2", 9, 1, "'r2' is not the address of a Unix socket",
     "such as socket:replica-0.sock"},
    {crash_text, "socket:r2", "host:7000", 9, 1, "which fabric: shm needs", "socket:PATH"},
    {crash_text, "socket:r2", "socket:a/../r2", 9, 1, "is not the address of a Unix socket",
     "without empty, '.' and '..' parts"},
    {crash_text, "socket:r2", "socket:r1", 9, 1, "'socket:r1' is taken already, in line 8",
     "one address a node"},
    {crash_text, "socket:r2", "socket:/run/tacit/r1", 9, 1, "is taken already, in line 8",
     "one address a node"},
    {crash_text, "/run/tacit",
     "/run/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/"
     "123456789/1234567890",
     7, 3, "would have 108 bytes", "paths.runtime_dir"},
    {crash_text, "paths:\n", "paths:\n  state_dir: state\n", 22, 1, "must have {node} in it once",
     "state/{node}"},
    {crash_text, "runtime_dir: /run/tacit", "runtime_dir: ''", 22, 1, "runtime_dir: has no value",
     "a path"},
    {crash_text, "@2@", "@1@", 9, 1, "this key is taken already, in line 8", "tacit keygen"},
    {crash_text, "@6@", "@0@", 14, 1, "clients[0].public_key: this key is taken already, in line 7",
     "tacit keygen"},
    {crash_text, "@6@", "abc", 14, 1, "'abc' is not a usable public key",
     "ed25519: and 64 lower-case hexadecimal digits"},
    {crash_text, "@6@", "ed25519:0000000000000000000000000000000000000000000000000000000000000000",
     14, 1, "is not a usable public key", "tacit keygen"},
    {crash_text, "    public_key: @6@\n", "", 12, 1, "clients[0].public_key: is missing",
     "ed25519:"},
    {crash_text, "  - id: 0\n", "  - id: 8\n", 12, 1, "id 8 is not below limits.clients_max (8)",
     "accepted: 0 to 7"},
    {crash_text, "    public_key: @6@\n", "    public_key: @6@\n  - {id: 0, public_key: @7@}\n", 15,
     1, "clients[1].id: id 0 is taken already, in line 12", "another one"},
    {crash_text, "    public_key: @6@\n",
     "    public_key: @6@\n  - {id: 1, name: gateway, public_key: @7@}\n", 15, 1,
     "'gateway' is taken already, in line 13", "another name"},
    {crash_text, "    public_key: @6@\nlimits:\n",
     "    public_key: @6@\n  - {id: 1, public_key: @7@}\nlimits:\n  clients_max: 1\n", 17, 2,
     "1 is less than the 2 clients listed", "2 to 64"},
    {byzantine_text, "host-b:7000", "host-b", 8, 1, "'host-b' is not a host and port",
     "HOST:PORT, [IPV6]:PORT or :PORT"},
    {byzantine_text, "host-b:7000", "host-b:0", 8, 1, "'host-b:0' is not a host and port",
     "port 1 to 65535"},
    {byzantine_text, "host-b:7000", "host-b:65536", 8, 1, "is not a host and port", "65535"},
    {byzantine_text, "host-b:7000", "host b:7000", 8, 1, "is not a host and port", "HOST:PORT"},
    {byzantine_text, "host-b:7000", "fe80::1:7000", 8, 1, "is not a host and port", "[IPV6]:PORT"},
    {byzantine_text, "host-b:7000", "socket:r1", 8, 1, "which fabric: verbs needs", "HOST:PORT"},
    {byzantine_text, "host-b:7000", "HOST-A:7000", 8, 1, "is taken already, in line 7",
     "one address"},
    {byzantine_text, "@7@", "@5@", 17, 1, "operator_key: this key is taken already, in line 13",
     "keygen"},
    // several mistakes at once: none hides another
    {crash_text, "name: demo\nmode: crash\nf: 1\n", MANY_KEYS "name: 1\nmode: x\nf: -1\n", 18, 18,
     "mode: 'x' is not known", "crash or byzantine"},
    {crash_text, "  inflight: 16\n",
     "  inflight: 16\n  inflight: 17\n  tial: 3\n  batch_bytes: 9\n", 21, 3, "'9' has no unit",
     "128B to 256KiB"},
    {crash_text, "cores: [0, 2]", "cores: [0, x", 25, 2, "cores[1]: 'x'", "0 to 1023"},
    {crash_text, "cores: [0, 2]", "cores: [0, x", 26, 2, "not YAML", "line 25"},
};

static bool has_problem(const struct wrong_case *one)
{
    for (uint32_t i = 0; i < problems.count; i++) {
        const struct tacit_config_problem *problem = &problems.items[i];
        if (problem->severity == TACIT_CONFIG_ERROR && problem->line == one->line &&
            strstr(problem->text, one->says) != NULL &&
            strstr(problem->text, one->accepted) != NULL) {
            return true;
        }
    }
    return false;
}

static void wrong_files_are_refused_with_line_and_reason(void **state)
{
    (void)state;
    const size_t count = sizeof wrong_cases / sizeof wrong_cases[0];
    uint32_t failed = 0;
    assert_true(count >= 60);
    for (size_t i = 0; i < count; i++) {
        const struct wrong_case *one = &wrong_cases[i];
        const enum tacit_status status = parse_edited(one->base, one->from, one->to);
        if (status != TACIT_EINVAL || !has_problem(one) || problems.errors != one->errors) {
            print_message("case %zu (%s -> %s): status %s, %u errors; wanted line %u, %u errors, "
                          "\"%s\" and \"%s\"; got:\n",
                          i, one->from != NULL ? one->from : "", one->to, tacit_status_name(status),
                          problems.errors, one->line, one->errors, one->says, one->accepted);
            show_problems();
            failed++;
        }
    }
    assert_int_equal(failed, 0);
}

static void problems_beyond_the_list_are_counted(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    size_t used = 0;
    for (unsigned i = 0; i < 1000; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "k%u: 1\n", i);
    }
    assert_int_equal(parse(text), TACIT_EINVAL);
    assert_int_equal(problems.count, TACIT_CONFIG_PROBLEMS_MAX);
    assert_int_equal(problems.errors, 1004); // and version, name, mode, replicas
    assert_int_equal(problems.dropped, 1004 - TACIT_CONFIG_PROBLEMS_MAX);
    struct tacit_error error;
    assert_int_equal(tacit_config_problems_to_error(&problems, TACIT_EINVAL, &error), TACIT_EINVAL);
    assert_non_null(strstr(error.text, "cluster.yaml:1:1: error: unknown key 'k0'"));
    assert_non_null(strstr(error.text, "and 1003 more: tacit check cluster.yaml"));
}

// Lists one too long, and bytes that would grow without a bound.
static void sizes_are_bounded(void **state)
{
    (void)state;
    static char text[TACIT_CONFIG_FILE_BYTES_MAX + 2];
    memset(text, '[', sizeof text - 1);
    assert_int_equal(tacit_config_parse(text, sizeof text - 1, "f", ".", &config, &problems),
                     TACIT_ETOOBIG);
    assert_int_equal(
        tacit_config_parse(text, TACIT_CONFIG_FILE_BYTES_MAX, "f", ".", &config, &problems),
        TACIT_EINVAL);
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "name: ", 6);
    assert_int_equal(
        tacit_config_parse(text, TACIT_CONFIG_FILE_BYTES_MAX, "f", ".", &config, &problems),
        TACIT_EINVAL);
    assert_non_null(strstr(problems.items[0].text, "version: is missing"));
    assert_non_null(strstr(problems.items[1].text, "mode: is missing"));
    assert_non_null(strstr(problems.items[3].text, "no value needs more than"));
    size_t used = (size_t)snprintf(text, sizeof text, "cores: [");
    for (unsigned i = 0; i < TACIT_CONFIG_CORES_MAX + 5; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%u,", i);
    }
    (void)snprintf(text + used, sizeof text - used, "]\nname: [");
    assert_int_equal(parse(text), TACIT_EINVAL);
    assert_int_equal(config.core_count, TACIT_CONFIG_CORES_MAX);
    assert_non_null(strstr(problems.items[0].text, "too many entries; accepted: 64"));
}

// The library behind the structural pass refuses on its own what that pass would have caught, and
// its message has a place (the last key that it accepted, or later).
static void the_library_is_strict_too(void **state)
{
    (void)state;
    static const char *const texts[] = {"name: a\ncolour: red\n", "name: a\nname: b\n",
                                        "f: 1\nname: [a]\n", "f: 1\nname: &x a\nmode: *x\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct raw_config *raw = NULL;
        problems_init(&problems, "f");
        assert_int_equal(raw_config_load(&raw, texts[i], strlen(texts[i]), &problems),
                         TACIT_EINVAL);
        assert_null(raw);
        assert_int_equal(problems.errors, 1);
        assert_in_range(problems.items[0].line, 1, 3);
        assert_non_null(strstr(problems.items[0].text, "the YAML library refuses the file near"));
    }
    struct raw_node *node = NULL;
    assert_int_equal(raw_node_load(&node, "x: 1", 4, &problems), TACIT_EINVAL);
    assert_null(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused_with_line_and_reason),
        cmocka_unit_test(problems_beyond_the_list_are_counted),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(the_library_is_strict_too),
    };
    return tacit_crypto_init(NULL) == TACIT_OK
               ? cmocka_run_group_tests_name("config_wrong", tests, NULL, NULL)
               : 1;
}
