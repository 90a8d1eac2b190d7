// SPDX-License-Identifier: Apache-2.0
//
// Payloads, statements and certificates: canonical decoding of everything, every statement distinct
// in each of its fields, certificates of every quorum up to seven replicas.
// TACIT_SEEDED: yes
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "choice/choice.h"
#include "core/base/bug.h"
#include "core/byzantine/payload.h"

static struct tacit_payload draw_payload(struct choice *choice)
{
    struct tacit_payload payload = {
        .kind = (uint8_t)choice_range(choice, TACIT_PAYLOAD_PREPARE, TACIT_PAYLOAD_KINDS - 1),
        .body_bytes = choice_u32(choice, UINT32_MAX),
        .view = (uint64_t)choice_u32(choice, UINT32_MAX) << 32 | choice_u32(choice, 5),
        .slot = (uint64_t)choice_u32(choice, UINT32_MAX) << 32 | choice_u32(choice, 5),
    };
    choice_bytes(choice, payload.digest.bytes, sizeof payload.digest.bytes);
    return payload;
}

static void payload__comes_back_as_it_was(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 1);
    for (unsigned i = 0; i < 2000; i++) {
        struct tacit_payload payload = draw_payload(&choice);
        struct tacit_payload back;
        uint8_t bytes[TACIT_PAYLOAD_BYTES];
        tacit_payload_encode(bytes, &payload);
        assert_int_equal(tacit_payload_decode(&back, bytes), TACIT_VERDICT_OK);
        assert_true(tacit_payload_is_equal(&payload, &back));
    }
}

// Whatever is accepted encodes to the same bytes again; whatever differs in a bit is another one.
static void payload__is_canonical(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 2);
    for (unsigned bit = 0; bit < 8 * TACIT_PAYLOAD_BYTES; bit++) {
        struct tacit_payload payload = draw_payload(&choice);
        struct tacit_payload back;
        uint8_t bytes[TACIT_PAYLOAD_BYTES];
        uint8_t again[TACIT_PAYLOAD_BYTES];
        tacit_payload_encode(bytes, &payload);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum tacit_verdict verdict = tacit_payload_decode(&back, bytes);
        if (verdict == TACIT_VERDICT_OK) {
            tacit_payload_encode(again, &back);
            assert_memory_equal(bytes, again, sizeof bytes);
            assert_false(tacit_payload_is_equal(&payload, &back));
        } else {
            assert_int_equal(verdict, TACIT_VERDICT_MALFORMED);
            assert_true(bit < 32); // the kind and its padding
        }
    }
    uint8_t bytes[TACIT_PAYLOAD_BYTES] = {0};
    struct tacit_payload back;
    for (unsigned kind = 0; kind < 256; kind++) {
        bytes[0] = (uint8_t)kind;
        bool is_known = kind >= TACIT_PAYLOAD_PREPARE && kind < TACIT_PAYLOAD_KINDS;
        assert_int_equal(tacit_payload_decode(&back, bytes),
                         is_known ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED);
    }
}

static void body_digest__names_its_purpose(void **state)
{
    (void)state;
    struct tacit_digest body;
    struct tacit_digest other;
    tacit_body_digest(&body, NULL, 0);
    tacit_digest_make(&other, TACIT_DOMAIN_STATE, NULL, 0);
    assert_memory_not_equal(body.bytes, other.bytes, sizeof body.bytes);
    tacit_body_digest(&other, "", 1);
    assert_memory_not_equal(body.bytes, other.bytes, sizeof body.bytes);
}

// ---- statements
// --------------------------------------------------------------------------------------------------

enum { STATEMENTS = 7, FIELDS = 5 };

// One of the statements from numbered fields. Returns its size.
static uint32_t statement(unsigned which, uint8_t *out, const uint64_t field[FIELDS])
{
    struct tacit_digest digest;
    memset(&digest, (int)field[4], sizeof digest);
    struct tacit_payload payload = {
        .kind = TACIT_PAYLOAD_PREPARE, .view = field[3], .digest = digest};
    switch (which) {
    case 0:
        return tacit_statement_stream_id(out, field[0], (tacit_node_t)field[1], field[2], &payload);
    case 1:
        return tacit_statement_summary(out, field[0], (tacit_node_t)field[1], field[2], &digest);
    case 2:
        return tacit_statement_certify(out, field[0], field[1], field[2], &digest);
    case 3:
        return tacit_statement_checkpoint(out, field[0], field[1], &digest);
    case 4:
        return tacit_statement_state_share(out, field[0], (tacit_node_t)field[1], field[2], &digest,
                                           field[3]);
    case 5:
        return tacit_statement_suspect(out, field[0], (tacit_node_t)field[1], field[2], field[3]);
    default:
        return tacit_statement_request(out, (uint32_t)field[0], field[1], field[2],
                                       (uint8_t)field[3], &digest);
    }
}

// Changes one field of one statement at a time. The first pair that comes out equal, or NULL.
static const char *statement_hole(void)
{
    static const char *const names[STATEMENTS] = {"stream id",   "summary", "certify", "checkpoint",
                                                  "state share", "suspect", "request"};
    static const unsigned fields[STATEMENTS] = {0x1f, 0x17, 0x17, 0x13, 0x1f, 0x0f, 0x1f};
    for (unsigned which = 0; which < STATEMENTS; which++) {
        for (unsigned i = 0; i < FIELDS; i++) {
            uint64_t field[FIELDS] = {1, 2, 3, 4, 5};
            uint8_t one[TACIT_SIGN_PAYLOAD_MAX];
            uint8_t two[TACIT_SIGN_PAYLOAD_MAX];
            uint32_t bytes = statement(which, one, field);
            field[i]++;
            uint32_t same = statement(which, two, field);
            bool is_equal = bytes == same && memcmp(one, two, bytes) == 0;
            if (is_equal == ((fields[which] >> i & 1) != 0)) {
                return names[which];
            }
        }
    }
    return NULL;
}

// (Prototype's holes 4 and 5: neither the id nor the broadcaster was signed.)
static void statement__depends_on_every_field(void **state)
{
    (void)state;
    assert_null(statement_hole());
}

// ---- certificates
// ------------------------------------------------------------------------------------------------

static void certificate__comes_back_as_it_was(void **state)
{
    (void)state;
    struct choice choice;
    choice_init_seed(&choice, 3);
    for (uint8_t replicas = 1; replicas <= 7; replicas++) {
        for (unsigned set = 1; set < 1u << replicas; set++) {
            struct tacit_certificate certificate = {.count = 0};
            for (uint8_t r = 0; r < replicas; r++) {
                if ((set >> r & 1) != 0) {
                    struct tacit_share *share = &certificate.shares[certificate.count++];
                    share->signer = r;
                    choice_bytes(&choice, share->signature.bytes, TACIT_SIGNATURE_BYTES);
                }
            }
            uint8_t bytes[TACIT_REPLICAS_MAX * 65 + 8];
            uint8_t again[sizeof bytes];
            size_t size = tacit_certificate_encode(bytes, sizeof bytes, &certificate);
            assert_int_equal(size, tacit_certificate_bytes(certificate.count));
            assert_int_equal(size % 8, 0);
            assert_int_equal(tacit_certificate_encode(again, size - 1, &certificate), 0);
            struct tacit_certificate back;
            size_t used = 0;
            for (uint8_t quorum = 1; quorum <= replicas; quorum++) {
                bool is_right = quorum == certificate.count;
                assert_int_equal(
                    tacit_certificate_decode(&back, bytes, sizeof bytes, quorum, replicas, &used),
                    is_right ? TACIT_VERDICT_OK : TACIT_VERDICT_MALFORMED);
            }
            assert_int_equal(
                tacit_certificate_decode(&back, bytes, size, certificate.count, replicas, &used),
                TACIT_VERDICT_OK);
            assert_int_equal(used, size);
            assert_int_equal(tacit_certificate_encode(again, sizeof again, &back), size);
            assert_memory_equal(bytes, again, size);
            assert_int_equal(tacit_certificate_decode(&back, bytes, size - 1, certificate.count,
                                                      replicas, &used),
                             TACIT_VERDICT_MALFORMED);
        }
    }
}

// Every list of three signers out of 0 .. 4 for a quorum of three among four replicas: only
// strictly increasing ones below four are taken.
static const char *certificate_hole(void)
{
    for (unsigned code = 0; code < 125; code++) {
        uint8_t signer[3] = {(uint8_t)(code / 25), (uint8_t)(code / 5 % 5), (uint8_t)(code % 5)};
        struct tacit_certificate certificate = {.count = 3};
        for (unsigned i = 0; i < 3; i++) {
            certificate.shares[i].signer = signer[i];
            memset(certificate.shares[i].signature.bytes, 7, TACIT_SIGNATURE_BYTES);
        }
        uint8_t bytes[208];
        size_t used;
        size_t size = tacit_certificate_encode(bytes, sizeof bytes, &certificate);
        bool is_right = signer[0] < signer[1] && signer[1] < signer[2] && signer[2] < 4;
        bool is_taken =
            tacit_certificate_decode(&certificate, bytes, size, 3, 4, &used) == TACIT_VERDICT_OK;
        if (is_taken != is_right) {
            return "a list of signers";
        }
    }
    return NULL;
}

static void certificate__takes_distinct_members_only(void **state)
{
    (void)state;
    assert_null(certificate_hole());
    struct tacit_certificate certificate = {.count = 2, .shares = {{.signer = 0}, {.signer = 2}}};
    uint8_t bytes[136];
    size_t used;
    size_t size = tacit_certificate_encode(bytes, sizeof bytes, &certificate);
    for (size_t i = 1 + 2 * 65; i < size; i++) { // padding
        bytes[i] = 1;
        assert_int_equal(tacit_certificate_decode(&certificate, bytes, size, 2, 3, &used),
                         TACIT_VERDICT_MALFORMED);
        bytes[i] = 0;
    }
}

#if defined(TACIT_SEEDED_BUGS) && TACIT_SEEDED_BUGS
static void bugs__are_found(void **state)
{
    (void)state;
    static const uint32_t statements[] = {TACIT_BUG_STATEMENT_WITHOUT_BROADCASTER,
                                          TACIT_BUG_STATEMENT_WITHOUT_ID,
                                          TACIT_BUG_STATEMENT_WITHOUT_EPOCH};
    for (unsigned i = 0; i < 3; i++) {
        tacit_seeded_bug = statements[i];
        assert_string_equal(statement_hole(), "stream id");
    }
    tacit_seeded_bug = TACIT_BUG_SIGNER_REPEATED;
    assert_non_null(certificate_hole());
    tacit_seeded_bug = TACIT_BUG_NONE;
}
#else
static void bugs__are_found(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload__comes_back_as_it_was),
        cmocka_unit_test(payload__is_canonical),
        cmocka_unit_test(body_digest__names_its_purpose),
        cmocka_unit_test(statement__depends_on_every_field),
        cmocka_unit_test(certificate__comes_back_as_it_was),
        cmocka_unit_test(certificate__takes_distinct_members_only),
        cmocka_unit_test(bugs__are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
