#include "daemon/worker/anchors.h"

#include <string.h>

int anchors_parse(const FileBytes *file, uint8_t (**ret)[CERT_KEY_ID], size_t *ret_n, Error *reterr)
{
        _cleanup_(cert_list_done) CertList list = {0};
        _cleanup_(freep) void *memory = NULL;
        uint8_t(*anchors)[CERT_KEY_ID];
        int r = cert_list_parse(file->data, file->size, &list, reterr);

        if (r < 0)
                return r;
        memory = anchors = calloc(list.n, sizeof *anchors);
        if (!anchors)
                return error_oom(reterr);
        for (size_t i = 0; i < list.n && r == 0; i++) {
                CertFacts facts;

                r = cert_facts(list.items[i], &facts, reterr);
                if (r == 0)
                        memcpy(anchors[i], facts.key_id, CERT_KEY_ID);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(memory);
        *ret_n = list.n;
        return 0;
}
