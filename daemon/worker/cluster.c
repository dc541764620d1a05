#include "daemon/worker/cluster.h"
