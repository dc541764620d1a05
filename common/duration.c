#include "common/duration.h"
