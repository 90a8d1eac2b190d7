// SPDX-License-Identifier: Apache-2.0
//
// Seeded bugs: known mistakes, compiled into test builds only (TACIT_SEEDED_BUGS), that the
// simulator must find. They test the tests. In every other build a site is constant false and
// leaves no code.
#ifndef TACIT_BASE_BUG_H
#define TACIT_BASE_BUG_H

#include <stdint.h>

// Name, and what is wrong. The list is the simulator's menu (`tacit sim --list-bugs`).
#define TACIT_BUG_LIST(X)                                                                          \
    X(NONE, "no bug")                                                                              \
    X(QUORUM_MINUS_ONE, "an entry counts as decided with one log host too few")                    \
    X(ACK_BEFORE_REVOKE, "a host acknowledges the new holder without revoking the old one")        \
    X(DENIED_IGNORED, "a leader goes on after a write was denied")                                 \
    X(PREPARE_OWN_REGION_ONLY,                                                                     \
      "a new leader looks at its own regions only, not at all candidates'")                        \
    X(LOWEST_BALLOT, "a new leader adopts the entry with the lowest ballot")                       \
    X(RECYCLE_EARLY, "a position is reused when its entry was applied by the leader alone")        \
    X(CHECKSUM_IGNORED, "torn entries are taken for whole ones")                                   \
    X(RESTART_IS_OLD_SELF, "a restarted, emptied replica counts without admission")                \
    X(DUPLICATE_EXECUTED, "a retried request is executed again")                                   \
    X(REPLY_BEFORE_DECIDED, "the leader answers when it proposed, not when it is decided")         \
    X(STATE_WITHOUT_SESSIONS, "state transfer forgets the table of sessions")                      \
    X(TORN_PAGE_TAKEN, "a page is installed without checking its digest")                          \
    X(BALLOT_REUSED, "a new leader does not look at the promises")                                 \
    X(LEASE_NOT_AWAITED, "a host acknowledges a new holder while the old one's lease runs")        \
    X(LEASE_FROM_COMPLETION, "a lease counts from when its renewal completed")                     \
    X(LEASE_MINORITY, "a lease counts when one log host too few has renewed it")                   \
    X(LEASE_CHECKED_FIRST, "a read is answered if the lease held before its state was loaded")     \
    X(LEASE_UNNUMBERED, "all renewals of a lease write the same word")                             \
    X(LEASE_AS_WATCHED, "a host takes the last word that it saw for the last that was written")    \
    X(READ_BEFORE_OWN_WRITE, "a read overtakes its session's earlier requests")                    \
    X(BARRED_SITS, "a body that was replaced or removed gets a seat again without an order")       \
    X(ALIVE_REPLACED, "another body is let into a seat whose member lives, without an order")      \
    X(REMOVE_BELOW_QUORUM, "an operator may remove members down to the last one")                  \
    X(ORDER_OUTLIVES_EPOCH, "an order is executed after the members it was made for changed")      \
    X(OVERSIZED_ORDER_WAITS, "an order that fits into no batch waits for one")                     \
    X(CERTIFIED_PAGE_UNCHECKED, "a fetched page is installed without checking it")                 \
    X(ROOT_FROM_SOURCE, "fetched state is checked against its source's root, not the certified")   \
    X(ROOT_WITHOUT_SESSIONS, "the certified root leaves the table of sessions out")                \
    X(DECIDE_ON_LOCKED, "LOCKED from all decides, without ACKs")                                   \
    X(DECIDE_ON_QUORUM_ACKS, "f+1 ACKs decide")                                                    \
    X(CLAIM_EQUALS_COMMIT, "a COMMIT does not outrank claims of its view")                         \
    X(CLAIMS_NOT_CARRIED, "SEAL_VIEW lists only ACKs of the view that it seals")                   \
    X(CLAIM_BY_CLAIM, "a co-signature does not cover the claims")                                  \
    X(COSIGN_BLINDLY, "a state is co-signed without having vouched its claims")                    \
    X(VOUCH_IGNORES_NEW_VIEW, "a PREPARE that contradicts NEW_VIEW is vouched")                    \
    X(VOUCH_UNENDORSED, "a PREPARE is vouched without its requests")                               \
    X(VOUCH_TWICE, "two values are vouched in one view and slot")                                  \
    X(ACK_WITHOUT_UNANIMITY, "a PREPARE that the signed path delivered is ACKed")                  \
    X(FORCED_NEEDS_ENDORSEMENT, "a forced value is refused without its requests")                  \
    X(COSIGN_BELOW_BASE, "a co-signer skips claims below its base and does not say so")            \
    X(ACKS_ACROSS_VIEWS, "ACKs of different views add up")                                         \
    X(DECIDE_ON_F_COMMITS, "f COMMITs decide")                                                     \
    X(CERTIFICATE_LENGTH_TRUSTED, "a certificate has as many shares as it says")                   \
    X(ACK_AFTER_SEAL, "a replica that left a view goes on to ACK in it")                           \
    X(COMMIT_AFTER_SEAL, "a COMMIT of a view counts after its sender's SEAL_VIEW of it")           \
    X(NEW_VIEW_UNCHECKED, "NEW_VIEW is believed without its signatures")                           \
    X(NEW_VIEW_NOT_BINDING, "a leader may propose what its NEW_VIEW forbids")                      \
    X(SELECT_LOWEST_VIEW, "of what was claimed, the lowest view counts")                           \
    X(EPOCH_OLD_TAKEN, "messages of an old epoch's streams are taken for the present one's")       \
    X(OLD_NEW_VIEW_ACCEPTED, "NEW_VIEW is accepted with states of an older view")                  \
    X(SIGNER_REPEATED, "the same signer counts twice in a certificate")                            \
    X(CERTIFICATE_UNCHECKED, "COMMIT is believed without checking its certificate")                \
    X(STATEMENT_WITHOUT_BROADCASTER,                                                               \
      "what is signed about a stream does not name the broadcaster")                               \
    X(STATEMENT_WITHOUT_ID, "what is signed about a stream does not name the id")                  \
    X(BODIES_SHARED_QUOTA, "who has used up its quota of bodies takes another's")                  \
    X(LINK_VOTE_CHECK_IGNORED, "a torn vote is taken for a whole one")                             \
    X(LINK_BODY_CHECK_IGNORED, "a torn body is taken for a whole one")                             \
    X(LINK_NOT_REWRITTEN, "what was lost with a connection is not written again")                  \
    X(LINK_OLD_INCARNATION, "a peer's new incarnation gets what was meant for the old one")        \
    X(STRANGER_RUNG_AT_ONCE, "who is no member is woken for each word that members say")           \
    X(REGISTER_CHECK_IGNORED, "a torn register is taken for a whole one")                          \
    X(REGISTER_NO_COOLDOWN, "a register is written again before the cool-down is over")            \
    X(REGISTER_SAME_SLOT, "a register is always written in the same place")                        \
    X(REGISTER_MINORITY, "a write is done when one memory node has it")                            \
    X(REGISTER_READ_ONE, "a read is done when one memory node has answered")                       \
    X(REGISTER_SLOW_READ_TAKEN, "a read that took longer than the cool-down counts")               \
    X(REGISTER_OLD_NODE_COUNTS, "a memory node that came back empty counts")                       \
    X(CLIENT_F_REPLIES, "a client accepts f equal replies")                                        \
    X(CLIENT_REPLY_TWICE, "a reply that one replica repeats counts twice")                         \
    X(CLIENT_INDEX_IGNORED, "replies agree whatever their slots")                                  \
    X(CLIENT_BODY_UNCHECKED, "a body is taken without comparing its digest")                       \
    X(FORWARD_UNCHECKED, "a forwarded request counts before its signature was checked")            \
    X(ENDORSE_BY_NUMBER, "a request is endorsed by its number, whatever its bytes")                \
    X(OBLIGATION_UNSIGNED, "a timer runs for a request without a signature")                       \
    X(OBLIGATION_NOT_CANCELLED, "a timer goes on when the number was executed with other bytes")   \
    X(LACKS_UNLIMITED, "a replica may accuse any number of clients")                               \
    X(ECHO_QUORUM_SUFFICES, "f+1 echoes suffice for a client that was named")                      \
    X(NOOP_OF_ANY_DIGEST, "a PREPARE without a body is a no-op whatever its digest")               \
    X(SEAL_WITHOUT_BASE, "SEAL_VIEW drops claims below a base that it does not name")              \
    X(COSIGN_PRESENT_CLAIMS, "a seal is co-signed by the claims that are left of it")              \
    X(CTB_LOCK_TWICE, "a second LOCK for an id replaces the first")                                \
    X(CTB_FAST_ONE_SHORT, "the fast path delivers with one LOCKED too few")                        \
    X(CTB_READ_NOBODY, "the slow path does not read the registers of others")                      \
    X(CTB_READ_BEFORE_WRITTEN, "registers are read before the own one is written")                 \
    X(CTB_REGISTER_UNSIGNED, "what a register shows is believed without its signature")            \
    X(CTB_OLD_SIGNATURE_FRAMES, "a signature of another id counts as proof")                       \
    X(CTB_SUMMARY_UNCHECKED, "a certificate is believed without its signatures")                   \
    X(CTB_GAP_IGNORED, "a receiver with a gap waits for ever")                                     \
    X(EPOCH_NOT_CUT, "slots of the next epoch are voted for in the old one")                       \
    X(EPOCH_EARLY, "a change takes effect at the next checkpoint, within the window")              \
    X(EPOCH_RESTARTED_COUNTS, "a restarted replica takes part as its old self")                    \
    X(EPOCH_MEMNODE_COUNTS, "a memory node that came back counts before it is admitted")           \
    X(EPOCH_NO_HAND_OUT, "who is behind in an old epoch is not shown the new one")                 \
    X(REGISTER_JUDGED_EARLY, "a slow read is judged by the time before its completion was polled") \
    X(LINK_LOST_HEAD_PROVES, "what a lost head covered is not written to the memory node again")   \
    X(EPOCH_STRANGER_UNHEARD, "a later incarnation's certificates are not heard before its epoch") \
    X(LACKED_NOT_NAMED, "a leader proposes what others lacked again in each of its views")         \
    X(LACKED_NOT_BROUGHT, "a request that finds no room is not endorsed though it is signed")      \
    X(BODIES_NOT_COPIED, "a body takes references because of others than who sent it")             \
    X(BODIES_NONE_GIVES_WAY, "a large body that was delivered keeps the next one out")             \
    X(BODIES_FETCHED_TOGETHER, "what is fetched because of a liar is fetched on the own account")  \
    X(EPOCH_F_SUFFICES, "f SUSPECTs are enough for a replacement")                                 \
    X(EPOCH_SECOND_CHANGE, "a second change of an epoch takes the place of the first")             \
    X(EPOCH_STALE_CHANGE, "a change of an incarnation that is no member any more has an effect")   \
    X(EPOCH_STREAMS_KEPT, "an epoch goes on with the streams of the one before")                   \
    X(EPOCH_JOINS_BLINDLY, "a new incarnation takes part before the state says that it may")       \
    X(EPOCH_WITHOUT_CERTIFICATE, "an epoch begins before its checkpoint is certified")             \
    X(SUSPECT_UNCHECKED, "a SUSPECT counts whatever its signature")                                \
    X(SUSPECT_OUTLIVES_EPOCH, "SUSPECTs of one epoch count in the next")                           \
    X(REPLACE_UNCHECKED, "a REPLACE is endorsed without checking its shares")                      \
    X(REPLACE_IN_COMPANY, "a REPLACE is endorsed with whatever else is in its batch")              \
    X(STATEMENT_WITHOUT_EPOCH, "what is signed does not name the epoch")                           \
    X(COMMIT_WITHOUT_SHARES_IGNORED, "nobody looks for the shares of a COMMIT that was adopted")   \
    X(OPEN_REPLAYED, "an OPEN of a session that is over opens one again")                          \
    X(CLIENTS_ONE_QUEUE, "signatures of clients are checked in the order in which they come")      \
    X(DECIDED_NOT_AGAIN, "a leader never proposes again what it had executed before its view")     \
    X(PASSED_OVER_STAYS, "what a summary passed over is waited for until somebody else moves")     \
    X(STALL_UNNOTICED, "a replica waits for ever for a slot that an idle group has decided")       \
    X(DECIDED_BODY_FORGOTTEN, "nobody wakes up to ask again for the body of a decided slot")       \
    X(UNVOUCHED_LOCK_COUNTS, "LOCKED that says \"not vouched\" counts for an ACK")                 \
    X(FETCHED_OUTLIVES_EPOCH, "what was fetched in an epoch keeps its places in the next ones")    \
    X(OWED_WHILE_ALONE, "a change of members is waited for by who is alone in its view, too")      \
    X(JOINER_HEARS_ALL, "who is not admitted yet acts on whatever the members say")                \
    X(STRANGER_COUNTS, "what a later incarnation says counts like a member's word")                \
    X(DECIDED_NEEDS_ENDORSEMENT, "what is decided and executed here is asked for from its client") \
    X(LACKED_AS_SAID,                                                                              \
      "a client is named because of a request that was executed or never proposed")                \
    X(PATIENCE_FORGOTTEN, "one decision, and another one's SEAL_VIEW counts as soon as ever")      \
    X(COPY_STOPS_SUSPECT, "a share is not looked at while a copy that a leader shows is checked")  \
    X(SHARE_NOT_AHEAD, "a share is signed when its PREPARE is delivered, though that takes long")  \
    X(SHARE_OF_ANOTHER_VALUE, "a share signed ahead is said whatever was delivered")               \
    X(SILENT_WAITED_FOR, "each slot waits anew for the ACK of who sends none")                     \
    X(TIMER_NOT_HELD, "the timer of a view shrinks whatever requests take")                        \
    X(AUTHOR_IS_SEAT, "the founder's key of a seat counts for whoever sits there")                 \
    X(SUSPECT_UNASKED, "SUSPECT is signed for whoever connects, whatever the members say")         \
    X(CHANGE_UNRULED, "a change of members has an effect that the members do not allow any more")  \
    X(ORDER_UNCHECKED, "an order counts whatever the operator's signature")                        \
    X(ORDER_FORGOTTEN, "who has a valid order keeps it to itself")                                 \
    X(REPLACED_GOES_ON, "a member that lost its seat goes on taking part")                         \
    X(PATIENCE_AS_CONFIGURED, "who waits for all does not learn how long all take")                \
    X(TIME_OF_LAST_TURN, "what is heard counts as heard in the turn before")                       \
    X(LATE_UNSEEN, "what comes after signatures were turned to is not seen to be late")            \
    X(LONE_NEVER_FOLLOWED, "who left a view alone stays alone while the others make progress")     \
    X(TIMER_WHILE_ABSENT, "a leader is held to account for the time without a processor")          \
    X(SILENT_AT_ONCE, "who is slower than signatures counts as silent")                            \
    X(TIMER_BELOW_PATIENCE, "a leader is given up sooner than what all have to say")               \
    X(CLIENT_SIGNS_ALL, "a client signs everything that is late at once")                          \
    X(SIGNATURE_AT_LEISURE, "signatures of ids wait for a turn that looks after everything")       \
    X(SIGNED_CHECKED_AT_ONCE, "signatures of ids that are not late are checked, too")              \
    X(ABSENT_FOR_EVER, "a leader is never left by who has too little of a processor")              \
    X(STATE_FROM_THE_STOPPED, "state is fetched from who is not trusted, too")                     \
    X(LINK_ANSWERS_UNEXPECTED,                                                                     \
      "answers that come by memory nodes are looked for as seldom as ever")                        \
    X(BODY_WAITED_FOR, "a body is waited for as long as an answer, when the others have given it") \
    X(STOPPED_TEACHES_PATIENCE, "who was stopped counts as slow, for all of what it missed")       \
    X(OVERDUE_WAITED_FOR, "who let one wait pass without a word is waited for in the next")        \
    X(MISSED_ACK_UNTOLD, "broadcasts wait for who let the wait for ACKs pass")                     \
    X(LATE_LEFT_BEHIND, "a leader goes on as fast as ever while somebody cannot follow")           \
    X(BATCHES_DO_NOT_GROW, "a slot is begun for each request, however many are under way")         \
    X(IDLE_TURN_WHOLE, "a turn after which nothing came looks at everything again")                \
    X(QUIET_OVERLOOKS_VOTES, "who has nothing to do does not look for votes")                      \
    X(SHARES_ALL_CHECKED, "more shares of one state are checked than a certificate takes")         \
    X(LULL_IS_TENDED, "who waits for an answer looks after all else first")                        \
    X(BUSY_LEFT_UNTENDED, "who hears something in each turn never looks at what is late")          \
    X(ROOM_FOR_ONCE, "a client's next requests find no room at who executes last")                 \
    X(BACK_COUNTED_TWICE, "who is back before a leader looks is waited for once more")             \
    X(SLOW_SLOT_FOR_FIRST, "a slot that takes signatures is begun for the first who comes back")   \
    X(EPOCH_HAND_OUT_FORGOTTEN, "who asks twice in a row is not shown the new epoch")              \
    X(ORDER_TOLD_ONCE, "who has a valid order tells the others once, whether they hear it or not") \
    X(ORDER_TOLD_LATE, "an order that goes before another is not told before that one's turn")     \
    X(EXPECTED_BY_LENGTH, "a body counts as the expected one if it has its length")                \
    X(LEADER_OWES_PREPARE, "who leads now is waited for to answer a PREPARE of who led before")    \
    X(LAPSES_FORGIVEN, "who lets waits pass again and again is waited for after each word")        \
    X(LAPSE_EACH_ID, "each id that is passed over after one wait counts as a wait of its own")     \
    X(OVERDUE_SEEN_LATE, "that somebody is overdue is noticed when something else is due")         \
    X(OTHERS_WAIT_IGNORED, "a PREPARE that others have CERTIFIED is waited for like any other")    \
    X(UNVOUCHING_WAITED_FOR, "who says LOCKED of all but PREPAREs is waited for with each")        \
    X(OTHER_LOCKED_WAITED_FOR, "an id of which LOCKED differs is waited for like others")          \
    X(LACK_TEACHES_NOTHING, "each request that a client sends to some only has a slot wait")       \
    X(WARY_UNLIMITED, "a liar can have any number of clients doubted")                             \
    X(DOUBTED_NOT_ASKED, "who is doubted waits for its own time-out before it signs")              \
    X(ASKED_TOO_SOON, "a client forgets that it was asked to sign again so soon")                  \
    X(LEADER_AHEAD_WAITED_FOR, "a leader that has sealed its view is waited for")                  \
    X(EACH_FETCHES_BACK, "each replica that missed one alone in a later view takes a view for it") \
    X(LONE_LEADS, "who decides nothing and left a view alone is followed into one it leads")       \
    X(FOUND_OUT_MET, "who left a view alone is met in one that is left at once")                   \
    X(DOUBT_OUTLIVES_DOUBTER, "a dead replica has to say that it holds what is proposed")          \
    X(LAST_BELIEVED_ALONE, "of f+1 who lack something only the last one is believed")              \
    X(MALFORMED_WAITED_FOR, "who writes what no correct replica writes is waited for like others") \
    X(MALFORMED_LEADS, "who writes what no correct replica writes is left only by timers")         \
    X(ASKED_WITHOUT_ROOM, "bodies are asked for that find no room, and overwrite those that do")   \
    X(DEATH_OF_AN_EARLIER_LIFE, "a member is dead because the one before it in its seat is")       \
    /* the newest is the last */

enum tacit_bug {
#define TACIT_BUG_ENUM(name, text) TACIT_BUG_##name,
    TACIT_BUG_LIST(TACIT_BUG_ENUM)
#undef TACIT_BUG_ENUM
        TACIT_BUGS
};

// Those from here on are of Byzantine mode.
#define TACIT_BUG_FIRST_BYZANTINE TACIT_BUG_CERTIFIED_PAGE_UNCHECKED

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
extern uint32_t tacit_seeded_bug; // core/base/bug.c; set by the simulator before a run
#define TACIT_BUG(name) (__builtin_expect(tacit_seeded_bug == TACIT_BUG_##name, 0))
#else
#define TACIT_BUG(name) 0
#endif

#endif
