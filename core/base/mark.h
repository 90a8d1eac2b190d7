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
    X(HINT_SENT, "a client was sent to the leader")

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
