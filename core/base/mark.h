// SPDX-License-Identifier: Apache-2.0
//
// Coverage marks: situations that a test must have reached before its silence means anything. Sites
// cost a predictable branch; nobody listens outside of tests.
#ifndef TACIT_BASE_MARK_H
#define TACIT_BASE_MARK_H

#define TACIT_MARK_LIST(X)                                                                         \
    X(ELECTION_WON, "a candidate became leader")                                                   \
    X(ELECTION_RELEASED, "a candidate gave up and released what it held")                          \
    X(GRANT_DEFERRED, "a request for permission waited because the holder is trusted")             \
    X(GRANT_MOVED, "permission moved from one holder to another")                                  \
    X(WRITE_DENIED, "a leader's write was denied")                                                 \
    X(DEPOSED_WITH_INFLIGHT, "a leader stepped down with undecided entries")                       \
    X(ADOPTED_UNDECIDED, "a new leader adopted an undecided entry")                                \
    X(ADOPTED_WORD, "an entry was adopted by its word only")                                       \
    X(HOLE_FILLED, "a hole below a whole entry became a no-op")                                    \
    X(COPIED_DECIDED, "a new leader copied decided entries that it had not applied")               \
    X(TORN_SEEN, "a torn entry was seen and not taken")                                            \
    X(LATE_JOINER, "a log host joined a running leader")                                           \
    X(LAPPED, "a follower was lapped and asked for a checkpoint")                                  \
    X(CANDIDATE_LACKS_STATE, "a candidate needed a checkpoint before it could lead")               \
    X(DOUBTFUL_COPY, "a copy of a decided index was not known to be the decided one")              \
    X(STATE_INSTALLED, "state was transferred and installed")                                      \
    X(STATE_SOURCE_CHANGED, "state transfer went on with another source or checkpoint")            \
    X(SHADOW_PAGE_READ, "a page of a checkpoint came from its shadow")                             \
    X(ADMITTED, "a new incarnation was admitted")                                                  \
    X(REGION_RETIRED, "the log region of a dead incarnation was freed")                            \
    X(PROMISE_ABOVE, "a late log host had promised a larger ballot")                               \
    X(RING_WRAPPED, "a log position was reused")                                                   \
    X(RING_FULL, "a leader waited for applied heads before it reused a position")                  \
    X(DUPLICATE_ANSWERED, "a retried request got its stored reply")                                \
    X(REQUEST_HELD, "a request arrived ahead of its predecessor and was held")                     \
    X(SESSION_CLOSED_OLDEST, "opening a session closed the oldest one")                            \
    X(HINT_SENT, "a client was sent to the leader")                                                \
    X(SNAPSHOT_LOST, "a waiting checkpoint lost its snapshot to a change")                         \
    X(CHECKPOINT_WAITED, "a checkpoint waited for the certificate of the one before")              \
    X(CHECKPOINT_COMPLETED_LATE, "digests of a checkpoint were completed all at once")             \
    X(CANDIDATE_PASSED_OVER, "a newer checkpoint was certified before the candidate")              \
    X(STATE_DIVERGED, "the own root was not the certified one")                                    \
    X(STATE_LIE_SEEN, "a source of state showed bytes that the certified root refutes")            \
    X(STATE_SOURCE_SLOW, "a source of state was left because it was too slow")                     \
    X(STATE_SUPERSEDED, "every source of state had gone on to a newer checkpoint")                 \
    X(STATE_NO_SOURCE, "no source gave a certified state, and all were tried again")               \
    X(STATE_RESTARTED, "a fetch went on with a newer certificate and kept its pages")              \
    X(LINK_LAPPED, "a link was lapped and went on with the oldest message that survived")          \
    X(LINK_REWRITTEN, "a link wrote its mirror again on a new connection")                         \
    X(LINK_POST_RETRIED, "a link's write found a full queue and was posted later")                 \
    X(LINK_VOTE_TORN, "a torn vote was seen and not taken")                                        \
    X(LINK_BODY_GONE, "a body was torn or overwritten before it was read")                         \
    X(LINK_NEW_INCARNATION, "a link started anew for a peer's new incarnation")                    \
    X(LINK_MERGED, "what a memory node showed was merged into a link's image")                     \
    X(REGISTER_COOLED, "a register's write waited for the cool-down")                              \
    X(REGISTER_SKIPPED, "a memory node that was behind got the newest value only")                 \
    X(REGISTER_READ_REPEATED, "a read of a register was too slow and was repeated")                \
    X(REGISTER_TORN, "both copies of a register were torn in a short read")                        \
    X(REGISTER_SAVED_BY_OTHER, "one copy of a register was torn, the other was taken")             \
    X(REGISTER_LOST, "a write of a register was lost and repeated on a new connection")            \
    X(REGISTER_NODE_RESET, "a memory node that did not answer was reset")                          \
    X(REQUEST_AWAITED, "a PREPARE waited for a request and went on when it came")                  \
    X(LACK_SENT, "a follower told the leader that it lacks a request")                             \
    X(LACK_ASKED, "a leader asked a client for a signature")                                       \
    X(LACK_SERVED, "a leader forwarded a signed request that somebody lacked")                     \
    X(CLIENT_DOUBTED, "a replica lacked something of a client, and others heeded it")              \
    X(LACK_IGNORED, "an accuser of too many clients was ignored")                                  \
    X(FORWARD_TAKEN, "a forwarded request was taken for its signature")                            \
    X(REQUEST_CONFLICT, "a client sent other bytes under one number")                              \
    X(REQUEST_EVICTED, "a request gave way to a later one of its client")                          \
    X(OBLIGATION_STARTED, "a timer began to run for a signed request")                             \
    X(CLIENT_NAMED, "a client was named by a view change")                                         \
    X(ECHOED_BY_ALL, "a named client was proposed on the echoes of all")                           \
    X(DECIDED_FAST, "ACKs from all replicas decided a slot")                                       \
    X(DECIDED_SLOW, "COMMITs of f+1 replicas decided a slot")                                      \
    X(SLOW_PATH, "a delivered PREPARE was late and CERTIFIED")                                     \
    X(CLAIM_CARRIED, "SEAL_VIEW listed an ACK of an older view")                                   \
    X(SEAL_HELPED, "a replica left a view since another lacks what was decided in it")             \
    X(SEAL_JOINED, "a replica joined one SEAL_VIEW as it made no progress")                        \
    X(CTB_SLOW, "an id of a stream was agreed on by signatures and registers")                     \
    X(CTB_EARLY_LOCKED, "LOCKED came before the LOCK")                                             \
    X(CTB_LATE_UNANIMOUS, "a lock became unanimous after its delivery")                            \
    X(CTB_TAIL_FULL, "a broadcaster waited for a summary")                                         \
    X(CTB_RELAPSED, "a broadcaster began to sign")                                                 \
    X(CTB_FAST_AGAIN, "a broadcaster signs no more")                                               \
    X(CTB_LOCK_FROM_SIGNED, "an id was locked by SIGNED, its LOCK had been lost")                  \
    X(CTB_CONDEMNED, "a stream is ignored")                                                        \
    X(CTB_PROOF, "a register proved that a broadcaster signed two payloads")                       \
    X(CTB_LEFT_TAIL, "a register proved that an id left the tail")                                 \
    X(CTB_GAP, "the next id of a stream cannot be had")                                            \
    X(CTB_ADOPTED, "a certified stream state was adopted")                                         \
    X(CTB_BODY_FETCHED, "a body came after its LOCK")                                              \
    X(EPOCH_BEGUN, "an epoch began at a checkpoint")                                               \
    X(EPOCH_JUMPED, "a certified checkpoint of a later epoch was fetched")                         \
    X(EPOCH_JOINED, "a new incarnation took up its place")                                         \
    X(EPOCH_SUSPECTED, "f+1 replicas signed that an incarnation is gone")                          \
    X(EPOCH_FILLED, "a leader filled up to the end of an epoch")                                   \
    X(EPOCH_STRANGER_HEARD, "a later incarnation than the member was heard")                       \
    X(FORWARD_BROUGHT, "a slot got a request for which the store had no room")                     \
    X(CTB_BODY_GAVE_WAY, "a large body of a stream gave way to one that is needed sooner")         \
    X(PROPOSED_AGAIN, "a leader proposed again what it had executed, as somebody lacked it")       \
    X(SEAL_PASSED_OVER, "a replica left a view since a summary passed over what it lacks")         \
    X(CTB_ABSTAINED, "LOCKED of a PREPARE was said without a vouch")                               \
    X(CTB_LOCKED_AGAIN, "LOCKED was said again to who waits for it")                               \
    X(LEASE_GROWN, "a lease ended too early and became longer")                                    \
    X(LEASE_READ, "a read was answered from the leader's state, under its lease")                  \
    X(LEASE_LAPSED_IN_READ,                                                                        \
      "the lease ended while a read was executed, which then went through the log")                \
    X(READ_ORDERED, "a read went through the log")                                                 \
    X(SPARE_SEATED, "another body took a seat")                                                    \
    X(ORDER_EXECUTED, "an operator's order was executed")                                          \
    X(EPOCH_LEFT, "a member whose seat was given away took part no more")                          \
    X(ORDER_PROPOSED, "a leader proposed an operator's order")                                     \
    X(SEAL_FETCHED_BACK, "a view was left for the fast path, without which one had left it")       \
    X(ACK_LATE, "an ACK came after the slot was decided by signatures")                            \
    /* the newest is the last */

enum tacit_mark {
#define TACIT_MARK_ENUM(name, text) TACIT_MARK_##name,
    TACIT_MARK_LIST(TACIT_MARK_ENUM)
#undef TACIT_MARK_ENUM
        TACIT_MARKS
};

struct tacit_marker {
    void (*mark)(void *context, unsigned mark);
    void *context;
};

static inline void tacit_mark(const struct tacit_marker *marker, enum tacit_mark mark)
{
    if (__builtin_expect(marker->mark != 0, 0)) {
        marker->mark(marker->context, (unsigned)mark);
    }
}

#endif
