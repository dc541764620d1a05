/*
 * Health in the monitoring plugins' convention, and when the reader of a certificate is at risk:
 * the questions that every row of a plan asks. Pure.
 */
#pragma once

#include "common/policy.h"

typedef enum Health { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL, HEALTH_UNKNOWN } Health;

const char *health_name(Health health); /* OK WARNING CRITICAL UNKNOWN */

/* The worse of two; HEALTH_UNKNOWN is worse than all. */
Health health_worse(Health a, Health b);

/* Whether a leaf that ends at not_after_usec has expired (the last second counts as over, as
 * OpenSSL counts it), and whether it is in the last half of its renew_before, or expired: renewals
 * have failed for so long that somebody has to come. */
bool health_is_expired(int64_t not_after_usec, int64_t now_usec);
bool health_is_at_risk(const PolicyCertificate *certificate, int64_t not_after_usec,
                       int64_t now_usec);
