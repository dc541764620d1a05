/*
 * What a probe found, as text for people whose first line is one of a monitoring plugin, as JSON,
 * and in Prometheus' text format. Whatever a server sent is printable ASCII here: other bytes and
 * what a format's own syntax needs come out as "?".
 */
#pragma once

#include "common/text.h"
#include "daemon/worker/probe.h"

void probereport_add(const Probe *probe, const ProbeOptions *options, Text *text);
