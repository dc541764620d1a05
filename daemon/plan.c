#include "daemon/plan.h"
