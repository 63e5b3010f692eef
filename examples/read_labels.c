/* Follows the label maps that another process shares, in plain C.
 *
 *   read_labels NAME COUNT
 *
 * NAME is that of `edge-vss run ... --output shm:NAME`. Prints a line per map: number, sequence, age, and the sum of
 * the class ids.
 *
 *   cc read_labels.c -I$(python -c 'import edge_vss.runtime as r; print(r.include_dir())') -o read_labels
 */
#define _POSIX_C_SOURCE 200809L
#include <edge_vss_shm.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The mapped segment, once its writer has set it up; NULL where it does not come within ten seconds. */
static const evss_shm_header* open_segment(const char* name) {
  const struct timespec pause = {0, 1000000};
  for (int tries = 0; tries < 10000; ++tries, nanosleep(&pause, NULL)) {
    struct stat facts;
    const int file = shm_open(name, O_RDONLY, 0);
    if (file < 0) continue;
    void* segment = MAP_FAILED;
    if (fstat(file, &facts) == 0 && (size_t)facts.st_size > sizeof(evss_shm_header))
      segment = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (segment == MAP_FAILED) continue;
    if (memcmp(segment, EVSS_SHM_MAGIC, 8) == 0) return segment;
    munmap(segment, (size_t)facts.st_size);
  }
  return NULL;
}

int main(int argc, char** argv) {
  char name[256];
  if (argc != 3) {
    fprintf(stderr, "usage: read_labels NAME COUNT\n");
    return 2;
  }
  snprintf(name, sizeof name, "/%s", argv[1]);
  const evss_shm_header* header = open_segment(name);
  if (!header) {
    fprintf(stderr, "%s: no such shared memory\n", argv[1]);
    return 3;
  }
  const size_t pixels = (size_t)header->height * header->width;
  uint8_t* labels = malloc(pixels);
  uint64_t number = 0, last = UINT64_MAX;
  const struct timespec pause = {0, 200000};
  for (long left = atol(argv[2]); left > 0;) {
    evss_shm_slot about;
    const uint32_t closed = __atomic_load_n(&header->closed, __ATOMIC_ACQUIRE);
    if (!evss_shm_newest(header, &number, &about, labels) || number == last) {
      if (closed) break;
      nanosleep(&pause, NULL);
      continue;
    }
    unsigned long long sum = 0;
    for (size_t i = 0; i < pixels; ++i) sum += labels[i];
    printf("%llu %llu %u %llu\n", (unsigned long long)number, (unsigned long long)about.sequence, about.age_frames,
           sum);
    last = number;
    --left;
  }
  free(labels);
  return 0;
}
