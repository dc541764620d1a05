#include "daemon/worker/preflight.h"
