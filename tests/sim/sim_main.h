// SPDX-License-Identifier: Apache-2.0
//
// The command `tacit sim`.
#ifndef TACIT_TESTS_SIM_MAIN_H
#define TACIT_TESTS_SIM_MAIN_H

// argv[0] is the command's name, the rest its options (--help). Returns the exit status: 0 no
// violation, 1 a violation (reported with the line that reproduces it), 2 wrong usage or no memory.
int tacit_sim_main(int argc, char **argv);

#endif
