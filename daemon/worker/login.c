#include "daemon/worker/login.h"
