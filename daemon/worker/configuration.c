#include "daemon/worker/configuration.h"
