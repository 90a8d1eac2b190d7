// SPDX-License-Identifier: Apache-2.0
//
// libsodium's random bytes from the choice source, so that keys and nonces replay too. A file of
// its own: only tests that use crypto need libsodium.
#include <sodium.h>
#include <string.h>

#include "choice.h"

static struct choice *driver;

static const char *random_name(void)
{
    return "tacit-choice";
}

static uint32_t random_u32(void)
{
    return driver == NULL ? 0 : choice_u32(driver, UINT32_MAX);
}

static void random_fill(void *const out, const size_t count)
{
    if (driver == NULL) {
        memset(out, 0, count);
        return;
    }
    choice_bytes(driver, out, count);
}

static struct randombytes_implementation implementation = {
    .implementation_name = random_name,
    .random = random_u32,
    .buf = random_fill,
};

void choice_drive_randombytes(struct choice *choice)
{
    driver = choice;
    (void)randombytes_set_implementation(&implementation);
}
