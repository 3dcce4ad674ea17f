/* PID 1 of a process namespace: reaps whoever is orphaned there, and does nothing else.
 *
 * `pause` ends on SIGTERM or SIGINT: what holds a pod's namespaces.
 * `pause --until-eof` ends when its standard input does: what holds a cluster's namespaces. Whoever
 * has the other end of that pipe keeps the cluster alive, and however that process ends, the kernel
 * closes the pipe; when PID 1 ends, the kernel ends every other process of its namespace. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

static void reap(int signal) {
  int before = errno;
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
  errno = before;
}

int main(int argc, char **argv) {
  int until_eof = argc > 1 && strcmp(argv[1], "--until-eof") == 0;
  char ignored;
  ssize_t got;
  signal(SIGCHLD, reap);
  if (!until_eof) {
    signal(SIGINT, end);
    signal(SIGTERM, end);
    for (;;) {
      pause();
    }
  }
  do {
    got = read(STDIN_FILENO, &ignored, 1);
  } while (got > 0 || (got < 0 && errno == EINTR));
  return 0;
}
