/* Main of a job whose image holds this program and nothing else, so no shell: `bare CODE FILE...` leaves the FILEs in
   the artifacts folder of its working directory, for itself alone, and ends with CODE. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int leave(const char *name) {
  int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
  return file < 0 || write(file, "kept\n", 5) != 5 || close(file);
}

int main(int count, char **words) {
  if (count < 2 || mkdir("artifacts", 0700) || chdir("artifacts")) return 100;
  for (int at = 2; at < count; at++)
    if (leave(words[at])) return 101;
  return atoi(words[1]);
}
