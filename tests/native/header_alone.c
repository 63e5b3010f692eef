/* The public header must compile alone, as C99 and (through header_alone.cpp) as C++. */
#include "edge_vss.h"

int main(void) { return evss_abi_version() == EVSS_ABI_VERSION ? 0 : 1; }
