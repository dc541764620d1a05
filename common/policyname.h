/*
 * Whether a text is fit to be a name: a DNS name or an address of a certificate, an attribute of a
 * subject, a file, a path, an object of the policy. Pure: text in, verdict and sentence out.
 */
#pragma once

#include "common/policymodel.h"

/* The name of an authority, certificate or cluster, or of a service:
 * [A-Za-z0-9][A-Za-z0-9._-]* */
int policyname_check_object(const char *name, Error *reterr);

/* An IPv4 or IPv6 address, or a DNS name (RFC 1034 section 3.5, RFC 6125 for the wildcard). Fills
 * all of ret but its text. */
int policyname_parse(const char *text, PolicyName *ret, Error *reterr);

/* Whether both stand for the same: letters of any case, addresses by their bytes. */
bool policyname_is_same(const PolicyName *a, const PolicyName *b);

/* An attribute's value against its upper bound (X.520, RFC 5280 appendix A), in characters. */
int policyname_check_attribute(const char *type, const char *value, Error *reterr);

/* The CN of a subject; NULL where it has none. */
const char *policyname_subject_cn(const PolicySubject *subject);

/* Bytes of a subject as one line: "C=CN, ST=GD, O=Bytebase, CN=root". */
size_t policyname_subject_size(const PolicySubject *subject);

/* A path that is absolute and as short as it can be written. */
int policyname_check_path(const char *path, Error *reterr);

/* A plain file name that is none of those that a directory of ours needs for itself. */
int policyname_check_file(const char *name, Error *reterr);
