#include "daemon/worker/settings.h"
