// SPDX-License-Identifier: Apache-2.0
//
// The key table: every key of the cluster file and of the node file, once. From these lists come
// the structs that the YAML library fills (raw.c), the check of the structure (outline.c), ranges,
// units and defaults (load.c), the digest, the printed file and the printed documentation.
//
// Columns: name of the key; kind; name of the value in struct tacit_config (sections of numbers
// only); lowest and highest value, or fewest and most characters or entries; default; flags;
// documentation. The order is that of printed files, and within IMMUTABLE keys that of the digest:
// new keys go last.
#ifndef TACIT_APPS_CONFIG_KEYS_H
#define TACIT_APPS_CONFIG_KEYS_H

// clang-format off
#define TACIT_KEYS_TOP(K) \
    K(version, COUNT, 1, 1, 0, REQUIRED | IMMUTABLE, "version of this file format") \
    K(name, NAME, 1, 31, 0, REQUIRED, "name of the cluster, for people and paths") \
    K(mode, MODE, 0, 0, 0, REQUIRED | IMMUTABLE, "faults that replicas may have") \
    K(f, COUNT, 0, 14, 0, COMPUTED | IMMUTABLE, \
      "faulty replicas that are tolerated. With n replicas: (n-1)/2; in crash mode with the logs " \
      "on memory nodes up to n-1, which is then the default") \
    K(fm, COUNT, 0, 7, 0, COMPUTED | IMMUTABLE, \
      "crashed memory nodes that are tolerated: (m-1)/2 with m memory nodes") \
    K(fabric, FABRIC, 0, 0, 0, 0, "how nodes reach each other's memory") \
    K(log_on, PLACE, 0, 0, 0, CRASH | IMMUTABLE, "which nodes keep the copies of the log") \
    K(broadcast_on, PLACE, 0, 0, 0, BYZANTINE | IMMUTABLE, \
      "where replicas leave messages for each other: in the receiver's memory, or on the memory " \
      "nodes, which is slower") \
    K(waiting, WAITING, 0, 0, 2, 0, "how threads wait; spin needs a core for each node") \
    K(operator_key, PUBLIC_KEY, 0, 0, 0, OPTIONAL, "key that may order membership changes")

#define TACIT_KEYS_CONTAINERS(K) \
    K(cores, CORES, VALUES, 0, 64, 0, "cores to pin protocol threads to, in order; 0 .. 1023") \
    K(replicas, REPLICAS, MAPS, 1, 15, REQUIRED, \
      "founding replicas; Byzantine mode needs an odd number of at least 3") \
    K(memnodes, MEMNODES, MAPS, 0, 15, 0, \
      "founding memory nodes: none or an odd number; Byzantine mode and log_on: memnodes need " \
      "them") \
    K(spare_replicas, SPARE_REPLICAS, MAPS, 0, 14, 0, \
      "replicas that stand by: when a member has been dead for timing.replace_after, or an operator " \
      "orders it, one takes its place") \
    K(spare_memnodes, SPARE_MEMNODES, MAPS, 0, 14, 0, "memory nodes that stand by likewise") \
    K(clients, CLIENTS, MAPS, 0, 64, 0, \
      "clients known from the start, at most limits.clients_max") \
    K(limits, LIMITS, MAP, 0, 0, 0, "sizes and numbers, the same on all nodes") \
    K(memory, MEMORY, MAP, 0, 0, 0, "the application's memory") \
    K(timing, TIMING, MAP, 0, 0, 0, "durations and bounds") \
    K(paths, PATHS, MAP, 0, 0, 0, "folders; relative to the folder of the cluster file")

#define TACIT_KEYS_MEMBER(K) \
    K(id, COUNT, 0, 14, 0, REQUIRED, "0 .. n-1, each once; of spares 1 .. n") \
    K(address, ADDRESS, 1, 271, 0, REQUIRED, \
      "shm: socket:PATH of a Unix socket, relative to paths.runtime_dir; verbs: HOST:PORT or " \
      "[IPV6]:PORT, where :PORT means 127.0.0.1") \
    K(public_key, PUBLIC_KEY, 0, 0, 0, REQUIRED, "public key, as tacit keygen prints it") \
    K(client, COUNT, 0, 63, 0, OPTIONAL, \
      "client id, not in `clients`, as which the node asks the group while it stands by. Spares need " \
      "one; a founder with one can come back after it was replaced (tacit member add)")

#define TACIT_KEYS_CLIENT(K) \
    K(id, COUNT, 0, 63, 0, REQUIRED, "below limits.clients_max, each once") \
    K(name, NAME, 1, 31, 0, OPTIONAL, "name of the client, for people") \
    K(public_key, PUBLIC_KEY, 0, 0, 0, REQUIRED, "public key, as tacit keygen prints it")

#define TACIT_KEYS_LIMITS(K) \
    K(request_bytes, SIZE, request_bytes, 64, 64 * KIB, 4 * KIB, IMMUTABLE, \
      "largest request body") \
    K(reply_bytes, SIZE, reply_bytes, 64, 64 * KIB, 4 * KIB, IMMUTABLE, "largest reply body") \
    K(batch_bytes, SIZE, batch_bytes, 128, 256 * KIB, 8 * KIB, IMMUTABLE, \
      "largest batch that is agreed on at once; holds at least one largest request") \
    K(batch_requests, COUNT, batch_requests, 1, 4096, 64, IMMUTABLE, "most requests in a batch") \
    K(log_entries, COUNT, log_entries, 64, 65536, 512, IMMUTABLE | CRASH | POWER_OF_TWO, \
      "entries of a log before positions are reused; more than 2 x inflight") \
    K(inflight, COUNT, inflight, 1, 1024, 16, IMMUTABLE | CRASH, "batches under way at once") \
    K(clients_max, COUNT, clients_max, 1, 64, 8, IMMUTABLE, \
      "clients connected at a time; client ids are below it") \
    K(sessions_per_client, COUNT, sessions_per_client, 1, 4096, 64, IMMUTABLE, \
      "open sessions of a client; beyond it the oldest closes") \
    K(session_pipeline, COUNT, session_pipeline, 1, 256, 8, IMMUTABLE, \
      "requests under way in a session, and replies kept for it") \
    K(window, COUNT, window, 16, 4096, 256, IMMUTABLE | BYZANTINE | POWER_OF_TWO, \
      "slots of agreement open at once; a checkpoint is taken every half window") \
    K(tail, COUNT, tail, 16, 1024, 128, IMMUTABLE | BYZANTINE | POWER_OF_TWO, \
      "messages of a broadcaster that are kept")

#define TACIT_KEYS_MEMORY(K) \
    K(arena_bytes, SIZE, arena_bytes, 4 * KIB, 64 * GIB, 16 * MIB, IMMUTABLE | PAGES, \
      "the application's replicated state, in pages of 4KiB")

#define TACIT_KEYS_TIMING(K) \
    K(beat_period, DURATION, beat_period_ns, 1 * US, 1 * SEC, 800 * US, IMMUTABLE, \
      "how often a live replica raises its beat") \
    K(suspicion, DURATION, suspicion_ns, 100 * US, 60 * SEC, 20 * MS, IMMUTABLE, \
      "silence after which a permission holder is suspected; more than 2 x beat_period") \
    K(permission_timeout, DURATION, permission_timeout_ns, 50 * US, 100 * MS, 200 * US, \
      IMMUTABLE | CRASH, "shortest wait of a candidate for permissions") \
    K(laggard_after, DURATION, laggard_after_ns, 10 * MS, 600 * SEC, 1 * SEC, IMMUTABLE | CRASH, \
      "how long a member may hold up the log before it is removed; more than suspicion") \
    K(lease, DURATION, lease_ns, 0, 250 * MS, 10 * MS, IMMUTABLE | CRASH, \
      "reads are answered without replication while the leader's lease of this length holds; a " \
      "fail-over without certain death waits for it; 0: no leases") \
    K(client_retry, DURATION, client_retry_ns, 100 * US, 60 * SEC, 2 * MS, IMMUTABLE, \
      "silence after which a client sends to all replicas") \
    K(drift_ppm, COUNT, drift_ppm, 0, 10000, 500, IMMUTABLE, \
      "most that clocks differ in rate, in parts per million") \
    K(slow_after, DURATION, slow_after_ns, 10 * US, 1 * SEC, 0, IMMUTABLE | BYZANTINE | COMPUTED, \
      "without an answer of all replicas for so long, the signed slow path begins: 1ms with " \
      "waiting: adaptive, else 100us") \
    K(cooldown, DURATION, cooldown_ns, 1 * US, 10 * MS, 100 * US, IMMUTABLE | BYZANTINE, \
      "pause between two writes of a register on a memory node; reads that are shorter find a " \
      "whole value") \
    K(retry, DURATION, retry_ns, 50 * US, 10 * SEC, 1 * MS, IMMUTABLE | BYZANTINE, \
      "what a replica got no answer to is said again after this") \
    K(join_after, DURATION, join_after_ns, 100 * US, 60 * SEC, 2 * MS, IMMUTABLE | BYZANTINE, \
      "without progress for so long, one replica that leaves its view is followed") \
    K(view_timeout, DURATION, view_timeout_ns, 500 * US, 60 * SEC, 5 * MS, \
      IMMUTABLE | BYZANTINE, \
      "a signed request is executed within this, or the leader is left; doubled for each view") \
    K(view_timeout_max, DURATION, view_timeout_max_ns, 1 * MS, 600 * SEC, 10 * SEC, \
      IMMUTABLE | BYZANTINE, "up to this") \
    K(replace_after, DURATION, replace_after_ns, 0, 86400 * SEC, 10 * SEC, 0, \
      "a member that was seen dead for so long may be replaced by a spare; 0: by order only. The " \
      "same on all replicas")

#define TACIT_KEYS_PATHS(K) \
    K(runtime_dir, PATH, 1, 1023, 0, 0, "sockets (default: run)") \
    K(state_dir, PATH, 1, 1023, 0, 0, \
      "a node's state; {node} stands for its name, such as replica-0 (default: state/{node})")

#define TACIT_KEYS_NODE(K) \
    K(node, NODE, 1, 31, 0, REQUIRED, \
      "who this node is: replica N, memnode N, spare-replica N, spare-memnode N, client N or " \
      "operator") \
    K(cluster, PATH, 1, 1023, 0, REQUIRED, "cluster file; relative to the folder of this file") \
    K(key, PATH, 1, 1023, 0, REQUIRED, \
      "private key, a file of mode 0600; relative to the folder of this file") \
    K(state_dir, PATH, 1, 1023, 0, OPTIONAL, \
      "this node's state; default: what the cluster file says") \
    K(rdma_device, NAME, 1, 31, 0, OPTIONAL, \
      "fabric: verbs. These four tell what the node insists on; without them it takes what " \
      "belongs to its address (tacit rdma check shows it). RDMA device, as rdma link names it") \
    K(rdma_port, COUNT, 1, 255, 0, COMPUTED, "port of that device") \
    K(rdma_gid_index, COUNT, 0, 255, 0, COMPUTED, \
      "which of the port's GIDs, by its index; one with this node's address. All nodes of a group " \
      "need the same kind, such as RoCE v2") \
    K(rdma_mtu, SIZE, 256, 4 * KIB, 0, COMPUTED | POWER_OF_TWO, \
      "largest packet, at most what the port takes; two nodes use the smaller of theirs")
// clang-format on

#endif
