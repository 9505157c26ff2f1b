// Threads that read clocks as fast as they can, are interrupted by signals, and wait in every way, while somebody rewrites their
// vDSO. Arguments: the offsets, in nanoseconds, that may be seen. Ends with its input; prints what went wrong, or `ok` and counts.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef long long ns;
#define READERS 3

static ns allowed[8];
static int count;
static atomic_int over;
static atomic_llong reads, seen[8], handled, waits;

static void wrong(const char *what, ...) {
  va_list arguments;
  va_start(arguments, what);
  printf("wrong: ");
  vprintf(what, arguments);
  printf("\n");
  fflush(stdout);
  _exit(1);
}

static ns real(clockid_t clock) {
  struct timespec t;
  syscall(SYS_clock_gettime, clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static ns told(clockid_t clock) {
  struct timespec t = {-1, -1};
  if (clock_gettime(clock, &t)) wrong("clock_gettime of %d fails", clock);
  if (t.tv_nsec < 0 || t.tv_nsec > 999999999) wrong("%lld nanoseconds", (ns)t.tv_nsec);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// The value must lie between the real times around it, ahead by one of the offsets, give or take what the function rounds.
static void must_fit(const char *what, ns before, ns value, ns after, ns early) {
  for (int i = 0; i < count; i++)
    if (before + allowed[i] - early <= value && value <= after + allowed[i]) {
      atomic_fetch_add(&seen[i], 1);
      return;
    }
  wrong("%s told %lld between %lld and %lld: ahead by %lld", what, value, before, after, value - before);
}

static void read_all(void) {
  ns before = real(CLOCK_REALTIME), value = told(CLOCK_REALTIME), after = real(CLOCK_REALTIME);
  must_fit("REALTIME", before, value, after, 0);
  before = real(CLOCK_TAI), value = told(CLOCK_TAI), after = real(CLOCK_TAI);
  must_fit("TAI", before, value, after, 0);
  before = real(CLOCK_REALTIME_COARSE), value = told(CLOCK_REALTIME_COARSE), after = real(CLOCK_REALTIME_COARSE);
  must_fit("REALTIME_COARSE", before, value, after, 0);
  before = real(CLOCK_MONOTONIC), value = told(CLOCK_MONOTONIC), after = real(CLOCK_MONOTONIC);
  if (value < before || value > after) wrong("MONOTONIC told %lld between %lld and %lld", value, before, after);
  struct timeval v;
  struct timezone z;
  before = real(CLOCK_REALTIME);
  if (gettimeofday(&v, &z) || gettimeofday(NULL, NULL)) wrong("gettimeofday fails");
  after = real(CLOCK_REALTIME);
  must_fit("gettimeofday", before, v.tv_sec * 1000000000LL + v.tv_usec * 1000LL, after, 1000);
  before = real(CLOCK_REALTIME_COARSE);
  time_t now = time(NULL);
  after = real(CLOCK_REALTIME_COARSE);
  must_fit("time", before, now * 1000000000LL, after, 1000000000);
  struct timespec t;
  if (clock_gettime(9999, &t) != -1 || errno != EINVAL) wrong("there is no clock 9999");
  if (told(CLOCK_PROCESS_CPUTIME_ID) <= 0 || told(CLOCK_BOOTTIME) <= 0) wrong("other clocks");
  atomic_fetch_add(&reads, 1);
}

static void on_signal(int signal) {
  (void)signal;
  int saved = errno;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  clock_gettime(CLOCK_MONOTONIC, &t);
  atomic_fetch_add(&handled, 1);
  errno = saved;
}

static void *reader(void *unused) {
  (void)unused;
  while (!over) read_all();
  return NULL;
}

static void *signaller(void *threads) {
  while (!over) {
    for (int i = 0; i < READERS; i++) pthread_kill(((pthread_t *)threads)[i], SIGUSR1);
    usleep(300);
  }
  return NULL;
}

// Waits must neither be cut short nor be told that they were interrupted.
static void *sleeper(void *unused) {
  (void)unused;
  int nobody = epoll_create1(0), both[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, both)) wrong("socketpair");
  struct timeval patience = {0, 20000};
  setsockopt(both[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  while (!over) {
    struct timespec twenty = {0, 20000000};
    struct epoll_event event;
    char byte;
    ns start = real(CLOCK_MONOTONIC);
    if (nanosleep(&twenty, NULL)) wrong("nanosleep: %s", strerror(errno));
    if (poll(NULL, 0, 20)) wrong("poll: %s", strerror(errno));
    if (epoll_wait(nobody, &event, 1, 20)) wrong("epoll_wait: %s", strerror(errno));
    if (recv(both[0], &byte, 1, 0) != -1 || errno != EAGAIN) wrong("recv: %s", strerror(errno));
    ns took = real(CLOCK_MONOTONIC) - start;
    if (took < 75000000) wrong("four waits of 20 ms took %lld ns", took);
    atomic_fetch_add(&waits, 1);
  }
  return NULL;
}

// Threads that come and go.
static void *once(void *unused) {
  read_all();
  return unused;
}

static void *mother(void *unused) {
  (void)unused;
  while (!over) {
    pthread_t child;
    if (pthread_create(&child, NULL, once, NULL) == 0) pthread_join(child, NULL);
    usleep(2000);
  }
  return NULL;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc && count < 8; i++) allowed[count++] = atoll(argv[i]);
  // Only readers are signalled; waits that a handler interrupts do end.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  pthread_t readers[READERS], other[4];
  for (int i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, reader, NULL);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_create(&other[0], NULL, signaller, readers);
  pthread_create(&other[1], NULL, sleeper, NULL);
  pthread_create(&other[2], NULL, mother, NULL);
  pthread_create(&other[3], NULL, sleeper, NULL);
  puts("ready");
  fflush(stdout);
  char byte;
  // Nothing of this may end the read but the end of the input.
  while (read(0, &byte, 1) != 0)
    if (errno == EINTR) wrong("read: interrupted");
  over = 1;
  for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  for (int i = 0; i < 4; i++) pthread_join(other[i], NULL);
  printf("ok %lld reads %lld signals %lld waits", reads, handled, waits);
  for (int i = 0; i < count; i++) printf(" %lld", seen[i]);
  printf("\n");
  return 0;
}
