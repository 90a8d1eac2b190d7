// SPDX-License-Identifier: Apache-2.0
//
// `tacit sim` as a program of its own, for tests and debuggers.
#include "sim_main.h"

int main(int argc, char **argv)
{
    return tacit_sim_main(argc, argv);
}
