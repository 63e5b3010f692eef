"""A stand-in for ``pycuda``: device memory is host memory, and streams do nothing until they are synchronised."""
