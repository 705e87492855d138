/* Commands in a process group of their own, so that what they start ends with them. */
#include "contrib/dfinit/shell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int wait_for(pid_t pid, int64_t timeout_ms, int *status)
{
	int fd cleanup(close_at) = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	do {
		r = poll(&p, 1, (int)timeout_ms);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		continue;
	return r == 0 ? -ETIMEDOUT : 0;
}

int shell_run(const char *script, const char *arg1, const char *arg2, int64_t timeout_ms,
	      struct err *e)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "fork");
	if (pid == 0) {
		setpgid(0, 0);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", script, "dfinit", arg1 ? arg1 : "", arg2 ? arg2 : "",
		      (char *)NULL);
		_exit(127);
	}
	setpgid(pid, pid);
	if (wait_for(pid, timeout_ms, &status) < 0)
		return err_set(e, ETIMEDOUT, "\"%.120s\" took more than %d s", script,
			       (int)(timeout_ms / 1000));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, EIO, "\"%.120s\" ended with %d", script,
		       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
