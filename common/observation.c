#include "common/observation.h"
