#include "daemon/worker/generation.h"
