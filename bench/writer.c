/* Writes files as a watched job may do: appends to one file, appends to a hundred files in turn, and many small files.
   Prints the seconds of each. Written in C, so that the watch is the only significant overhead. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { APPENDS = 100000, FILES = 100, SMALL_FILES = 20000 };

static char block[4096];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int create(const char *kind, int number) {
  char name[64];
  snprintf(name, sizeof name, "%s-%d", kind, number);
  int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_EXCL, 0644);
  if (fd < 0) {
    perror(name);
    exit(1);
  }
  return fd;
}

static void put(int fd, size_t size) {
  if (write(fd, block, size) != (ssize_t)size) {
    perror("write");
    exit(1);
  }
}

static double append(const char *kind, int files) {
  int fds[FILES];
  double started = now();
  for (int i = 0; i < files; i++) fds[i] = create(kind, i);
  for (int i = 0; i < APPENDS; i++) put(fds[i % files], 100);
  for (int i = 0; i < files; i++) close(fds[i]);
  return now() - started;
}

static double make_small_files(void) {
  double started = now();
  for (int i = 0; i < SMALL_FILES; i++) {
    int fd = create("small", i);
    put(fd, sizeof block);
    close(fd);
  }
  return now() - started;
}

int main(int argc, char **argv) {
  if (argc != 2 || chdir(argv[1]) != 0) {
    fprintf(stderr, "usage: writer FOLDER\n");
    return 2;
  }
  memset(block, 'x', sizeof block);
  double one = append("one", 1), hundred = append("hundred", FILES), small = make_small_files();
  printf("%.9f %.9f %.9f\n", one, hundred, small);
  return 0;
}
