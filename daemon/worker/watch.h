/*
 * Answers WIRE_OBSERVE: takes the digests that pgcertd knows, looks at every set and cluster that
 * the policy gives to one owner, and streams what differs. Looks only, changes nothing.
 */
#pragma once

#include "common/observation.h"

/* request is read behind its header, and received further until pgcertd says that it was the last;
 * reply holds the last message of the stream on success. -EBADMSG for malformed, too many or
 * broken off messages. */
int watch_answer(const Policy *policy, uid_t uid, int fd, Message *request, Message *reply,
                 Error *reterr);
