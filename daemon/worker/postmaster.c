#include "daemon/worker/postmaster.h"
