#include "common/health.h"

#include "common/clock.h"

#include <assert.h>

const char *health_name(Health health)
{
        switch (health) {
        case HEALTH_OK:
                return "OK";
        case HEALTH_WARNING:
                return "WARNING";
        case HEALTH_CRITICAL:
                return "CRITICAL";
        case HEALTH_UNKNOWN:
                return "UNKNOWN";
        }
        assert(false);
        return NULL;
}

Health health_worse(Health a, Health b)
{
        return a > b ? a : b;
}

bool health_is_expired(int64_t not_after_usec, int64_t now_usec)
{
        return now_usec >= not_after_usec;
}

bool health_is_at_risk(const PolicyCertificate *certificate, int64_t not_after_usec,
                       int64_t now_usec)
{
        return health_is_expired(not_after_usec, now_usec) ||
               now_usec > usec_add(not_after_usec, -certificate->renew_before_usec / 2);
}
