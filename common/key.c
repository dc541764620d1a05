#include "common/key.h"
