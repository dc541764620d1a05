/*
 * A certificate as PEM text (RFC 7468), for a program that links no libcrypto.
 */
#pragma once

#include "common/text.h"

/* Adds one, with lines of 64 characters, byte for byte as the files of a published set have it. */
void pem_add_certificate(Text *text, const uint8_t *der, size_t size);
