#include "common/cert.h"
