#include "header_alone.c"  // NOLINT: the same program as C++
