/* Label maps in POSIX shared memory, for other processes: one writer, any number of readers, nobody waits for anybody.
 *
 * The segment (shm_open's NAME) holds this header, then num_slots slots of slot_bytes each, beginning at first_slot.
 * A slot holds an evss_shm_slot, then the label map of the output: height rows of width class ids, no padding, from
 * labels_offset on. All numbers are in the byte order of the machine. The file is C99 and needs nothing but a compiler
 * with GCC's atomic functions.
 *
 * Map n (0, 1, 2, ...) goes to slot n % num_slots, and `published` becomes n + 1 when it is there. A slot's `lock` is
 * odd while it is written and changes with every map: a reader copies, looks at `lock` again, and starts anew where it
 * has changed. The writer never waits; a reader that takes longer than num_slots - 1 frames for its copy misses maps.
 */
#ifndef EDGE_VSS_SHM_H
#define EDGE_VSS_SHM_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVSS_SHM_MAGIC "EVSSHM1" /* with its 0: eight bytes */
#define EVSS_SHM_CLASSES 256

typedef struct evss_shm_header {
  char magic[8];         /* written last: the segment is not ready before */
  uint32_t header_bytes; /* of this struct */
  uint32_t first_slot;   /* offset in the segment, bytes */
  uint32_t num_slots;
  uint32_t slot_bytes;
  uint32_t height, width;
  uint32_t labels_offset; /* in a slot */
  uint32_t num_classes;
  uint32_t writer_pid;
  uint32_t closed;                       /* 1: the writer has left in good order; nothing will follow */
  uint64_t published;                    /* maps so far */
  char output[64];                       /* name, cut short where it is longer */
  uint8_t colours[EVSS_SHM_CLASSES * 3]; /* RGB by class */
} evss_shm_header;

typedef struct evss_shm_slot {
  uint64_t lock;
  uint64_t sequence; /* camera frames, dropped ones included */
  int64_t pts_us;
  int64_t captured_ns, done_ns; /* CLOCK_MONOTONIC; captured_ns may be 0 = not known */
  uint32_t flags;               /* evss_flag of edge_vss.h */
  uint32_t age_frames;
} evss_shm_slot;

/* Copies map number `number` into `out` (height * width bytes) and what is known of it into `about`. 1: done. 0: not
 * there (yet, or any more). `segment` is the mapped memory; read-only will do. */
static inline int evss_shm_read(const void* segment, uint64_t number, evss_shm_slot* about, uint8_t* out) {
  const evss_shm_header* header = (const evss_shm_header*)segment;
  const uint64_t published = __atomic_load_n(&header->published, __ATOMIC_ACQUIRE);
  if (number >= published || published - number > header->num_slots) return 0;
  const uint8_t* place =
      (const uint8_t*)segment + header->first_slot + (size_t)(number % header->num_slots) * header->slot_bytes;
  const evss_shm_slot* slot = (const evss_shm_slot*)(const void*)place;
  const uint64_t want = 2 * (number / header->num_slots + 1);
  if (__atomic_load_n(&slot->lock, __ATOMIC_ACQUIRE) != want) return 0;
  memcpy(about, slot, sizeof *about);
  memcpy(out, place + header->labels_offset, (size_t)header->height * header->width);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return __atomic_load_n(&slot->lock, __ATOMIC_RELAXED) == want;
}

/* The newest map. 1: done, and *number is its number. 0: there is none yet, or it was overwritten: try again. */
static inline int evss_shm_newest(const void* segment, uint64_t* number, evss_shm_slot* about, uint8_t* out) {
  const uint64_t published = __atomic_load_n(&((const evss_shm_header*)segment)->published, __ATOMIC_ACQUIRE);
  if (published == 0) return 0;
  *number = published - 1;
  return evss_shm_read(segment, *number, about, out);
}

#ifdef __cplusplus
}
#endif
#endif /* EDGE_VSS_SHM_H */
