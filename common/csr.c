#include "common/csr.h"
