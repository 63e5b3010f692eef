/* The public headers must compile alone, as C99 and (through header_alone.cpp) as C++. */
#include "edge_vss.h"
#include "edge_vss_shm.h"

int main(void) { return evss_abi_version() == EVSS_ABI_VERSION ? 0 : 1; }
