/* Counts allocations of the whole process, every thread; preload it and look up evss_malloc_count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static atomic_ullong count;
static char early[65536]; /* dlsym itself allocates before the real functions are known */
static size_t early_used;

__attribute__((visibility("default"))) unsigned long long evss_malloc_count(void) { return atomic_load(&count); }

static void* from_early(size_t size) {
  const size_t at = (early_used + 15) / 16 * 16;
  if (at + size > sizeof early) return NULL;
  early_used = at + size;
  return early + at;
}

__attribute__((visibility("default"))) void* malloc(size_t size) {
  static void* (*real)(size_t);
  static int looking;
  atomic_fetch_add(&count, 1);
  if (!real) {
    if (looking) return from_early(size);
    looking = 1;
    real = (void* (*)(size_t))dlsym(RTLD_NEXT, "malloc");
    looking = 0;
  }
  return real(size);
}

__attribute__((visibility("default"))) void* calloc(size_t number, size_t size) {
  static void* (*real)(size_t, size_t);
  static int looking;
  atomic_fetch_add(&count, 1);
  if (!real) {
    if (looking) return from_early(number * size);
    looking = 1;
    real = (void* (*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    looking = 0;
  }
  return real(number, size);
}

__attribute__((visibility("default"))) void* realloc(void* old, size_t size) {
  static void* (*real)(void*, size_t);
  atomic_fetch_add(&count, 1);
  if (!real) real = (void* (*)(void*, size_t))dlsym(RTLD_NEXT, "realloc");
  if ((char*)old >= early && (char*)old < early + sizeof early) {
    void* moved = malloc(size);
    if (moved) memcpy(moved, old, size);
    return moved;
  }
  return real(old, size);
}

__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t size) {
  static void* (*real)(size_t, size_t);
  atomic_fetch_add(&count, 1);
  if (!real) real = (void* (*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
  return real(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(void** out, size_t alignment, size_t size) {
  static int (*real)(void**, size_t, size_t);
  atomic_fetch_add(&count, 1);
  if (!real) real = (int (*)(void**, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
  return real(out, alignment, size);
}

__attribute__((visibility("default"))) void free(void* address) {
  static void (*real)(void*);
  if ((char*)address >= early && (char*)address < early + sizeof early) return;
  if (!real) real = (void (*)(void*))dlsym(RTLD_NEXT, "free");
  real(address);
}
