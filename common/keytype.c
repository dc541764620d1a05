#include "common/keytype.h"

#include <assert.h>
#include <string.h>

static const char *const names[KEY_TYPE_COUNT] = {
        [KEY_ECDSA_P256] = "ecdsa-p256", [KEY_ECDSA_P384] = "ecdsa-p384",
        [KEY_RSA_2048] = "rsa-2048",     [KEY_RSA_3072] = "rsa-3072",
        [KEY_RSA_4096] = "rsa-4096",     [KEY_ED25519] = "ed25519",
};

const char *key_type_name(KeyType type)
{
        assert(type < KEY_TYPE_COUNT);
        return names[type];
}

bool key_type_parse(const char *name, KeyType *ret)
{
        for (unsigned i = 0; i < KEY_TYPE_COUNT; i++) {
                if (strcmp(name, names[i]) == 0) {
                        *ret = (KeyType)i;
                        return true;
                }
        }
        return false;
}
