/*
 * Included first by clang's analyzers (tests/lint.py): what they cannot see of common/error.c, that
 * whoever sets an error returns something negative. Without it every `r = f(&p, reterr); if (r < 0)
 * return r;` is told as a use of p that nobody has set. A build is not changed by it.
 */
#pragma once

#ifdef __clang_analyzer__
#include "common/crypto.h"
#include "common/error.h"

#define analyzer_negative(call)                                                                    \
        ({                                                                                         \
                int analyzer_result = (call);                                                      \
                if (analyzer_result >= 0)                                                          \
                        __builtin_unreachable();                                                   \
                analyzer_result;                                                                   \
        })
#define error_set(...) analyzer_negative(error_set(__VA_ARGS__))
#define error_at(...) analyzer_negative(error_at(__VA_ARGS__))
#define error_oom(...) analyzer_negative(error_oom(__VA_ARGS__))
#define crypto_error(...) analyzer_negative(crypto_error(__VA_ARGS__))
#define error_prefix(...) analyzer_negative(error_prefix(__VA_ARGS__))
#endif
