/*
 * `pgcertd-worker --probe ...`, which pgcertctl probe becomes: the command line of a probe.
 */
#pragma once

/* Reads the arguments after --probe, probes, prints. Returns the exit status: the worst health, or
 * 3 where the usage is wrong. */
int probing_main(int argc, char *argv[]);
