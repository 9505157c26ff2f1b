// Answers what its clocks are ahead of the kernel's, in nanoseconds, for each line of its input:
//   o      REALTIME COARSE TAI MONOTONIC gettimeofday time, of this process
//   f      forks a child, which answers at once and later at each `c`
//   c      asks that child
//   b N    how long N calls of clock_gettime and N system calls take, in nanoseconds
//   u      unmaps its vDSO
// With an argument: writes the offsets of `o` again and again, from itself and a child, and ends when it is killed.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef long long ns;

static ns real(clockid_t clock) {
  struct timespec t;
  syscall(SYS_clock_gettime, clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static ns told(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t)) abort();
  if (t.tv_nsec < 0 || t.tv_nsec > 999999999) abort();
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void offsets(FILE *out) {
  clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_MONOTONIC};
  for (int i = 0; i < 4; i++) {
    ns before = real(clocks[i]), value = told(clocks[i]), after = real(clocks[i]);
    fprintf(out, "%lld ", value - (before + after) / 2);
  }
  struct timeval v;
  ns before = real(CLOCK_REALTIME);
  gettimeofday(&v, NULL);
  if (v.tv_usec < 0 || v.tv_usec > 999999) abort();
  fprintf(out, "%lld ", v.tv_sec * 1000000000LL + v.tv_usec * 1000LL - before);
  time_t stored, returned = time(&stored);
  if (stored != returned || labs(time(NULL) - returned) > 1) abort();
  fprintf(out, "%lld\n", stored * 1000000000LL - real(CLOCK_REALTIME));
  fflush(out);
}

static void benchmark(long count) {
  struct timespec t;
  ns start = real(CLOCK_MONOTONIC);
  for (long i = 0; i < count; i++) clock_gettime(CLOCK_REALTIME, &t);
  ns middle = real(CLOCK_MONOTONIC);
  for (long i = 0; i < count; i++) clock_gettime(CLOCK_MONOTONIC, &t);
  ns last = real(CLOCK_MONOTONIC);
  for (long i = 0; i < count; i++) syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
  ns end = real(CLOCK_MONOTONIC);
  printf("%lld %lld %lld\n", (middle - start) / count, (last - middle) / count, (end - last) / count);
  fflush(stdout);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    for (fork();; usleep(3000)) offsets(stdout);
  }
  char line[64];
  int to[2], from[2];
  while (fgets(line, sizeof line, stdin)) {
    if (line[0] == 'o') offsets(stdout);
    if (line[0] == 'b') benchmark(atol(line + 1));
    if (line[0] == 'f') {
      if (pipe(to) || pipe(from)) abort();
      pid_t child = fork();
      if (child == 0) {
        FILE *out = fdopen(from[1], "w");
        close(to[1]);
        do offsets(out);
        while (read(to[0], line, 1) == 1);
        _exit(0);
      }
      printf("%d ", child);
    }
    if (line[0] == 'c' && write(to[1], "c", 1) != 1) abort();
    if (line[0] == 'c' || line[0] == 'f') {
      char answer[256] = {0};
      size_t length = 0;
      while (!strchr(answer, '\n') && length < sizeof answer - 1) {
        ssize_t got = read(from[0], answer + length, sizeof answer - 1 - length);
        if (got <= 0) abort();
        length += got;
      }
      fputs(answer, stdout);
      fflush(stdout);
    }
    if (line[0] == 'u') {
      char map[256];
      unsigned long start = 0, end = 0;
      FILE *maps = fopen("/proc/self/maps", "r");
      while (fgets(map, sizeof map, maps))
        if (strstr(map, "[vdso]")) sscanf(map, "%lx-%lx", &start, &end);
      syscall(SYS_munmap, start, end - start);
      puts("done");
      fflush(stdout);
      for (;;) syscall(SYS_pause);
    }
  }
  return 0;
}
