/*
 * A set that somebody else made: what its readers find now, and the take-over once the user has
 * said so. Whether that is safe for those who verify it is pgcertd's to judge, from what the
 * observation tells of the leaf and the anchors; here it only must not be seen by any reader.
 */
#pragma once

#include "daemon/worker/store.h"

/* What readers find under the names of the policy, whoever made it: links are followed, as readers
 * do. A code for each file: 0, -ENOENT for none, or why it cannot be had. */
void adoption_read(const Store *store, FileBytes files[POLICY_FILES], int codes[POLICY_FILES]);

/* What can be told of those files: leaf, anchors, and SET_UNJUDGED where something is there that is
 * not understood or cannot be taken over. The caller frees ret_anchors. */
int adoption_judge(const Store *store, const FileBytes files[POLICY_FILES],
                   const int codes[POLICY_FILES], ObservedSet *ret,
                   uint8_t (**ret_anchors)[CERT_KEY_ID], size_t *ret_n_anchors, Error *reterr);

/* Copies what readers find into a generation (0 where that is free) and makes each name a link to
 * the same bytes, so that every mixture on the way is the same set. A service file with the same
 * lines becomes ours. Only while the leaf found is still the one that was seen (zeros for none):
 * -ESTALE otherwise. Locks the directory; what a crash left is finished by doing it again. */
int adoption_run(const PolicyCertificate *certificate, const uint8_t leaf[CERT_FINGERPRINT],
                 int64_t now_usec, uint32_t *ret_generation, Error *reterr);
