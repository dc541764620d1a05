#include "daemon/worker/handshake.h"
