// SPDX-License-Identifier: Apache-2.0
// The commands of the main program. Each gets its own name as argv[0] and gives the exit status.
#pragma once

int run_main(int argc, char **argv);
int check_main(int argc, char **argv);
int passwd_main(int argc, char **argv);
int reference_main(int argc, char **argv);
int version_main(int argc, char **argv);
int help_main(int argc, char **argv);
