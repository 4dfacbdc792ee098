"""What a process costs while it runs: CPU seconds and peak memory, from the kernel's account of it.

    with Account(process) as spent: ...      # or spent = Account(process); ...; spent.close()
    spent.cpu(), spent.peak_mib, spent.ended_at

The kernel's ru_maxrss would begin with the memory of the Python that forked, so the peak is VmHWM, looked at every 10 ms (it only
rises, but for what comes in the last of these), and so is whether it has ended. CPU time is read once more then, before anybody reaps it."""
import os
import subprocess
import threading
import time

TICK = os.sysconf('SC_CLK_TCK')
LOOK_EVERY = 0.01


def exact_cpu(pid):
    """CPU seconds of a process so far, threads that have ended too, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)    # its clock, as clock_getcpuclockid(3) gives it


def ran(argv, **how):
    """Runs a command, which must succeed: (wall seconds, CPU seconds)."""
    began = time.monotonic()
    process = subprocess.Popen(argv, **how)
    _, status, spent = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return took, spent.ru_utime + spent.ru_stime


class Account:
    def __init__(self, process):
        self.process, self.peak_mib, self._cpu, self._close = process, 0.0, 0.0, threading.Event()
        self.ended_at = None    # on time.monotonic()'s clock
        self.began = self._cpu_now() or 0.0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def cpu(self):
        """CPU seconds, of all its threads and of the children that it waited for, since this account was opened."""
        now = self._cpu_now()
        return max(self._cpu, now or 0.0) - self.began

    def ended(self, seconds):
        """Waits for the end of the process without reaping it; False when it still runs then."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self):
        self._close.set()
        self._thread.join()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _follow(self):
        pid = self.process.pid
        while not self._close.is_set():
            self._peak()
            try:
                over = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:
                return
            self._cpu = max(self._cpu, self._cpu_now() or 0.0)
            if over:
                self.ended_at = time.monotonic()
                return
            self._close.wait(LOOK_EVERY)

    def _peak(self):
        try:
            with open('/proc/%d/status' % self.process.pid) as f:
                for line in f:
                    if line.startswith('VmHWM:'):
                        self.peak_mib = int(line.split()[1]) / 1024     # setpriv and ip go before it under the same number
        except OSError:
            pass

    def _cpu_now(self):
        try:
            own = exact_cpu(self.process.pid)
            with open('/proc/%d/stat' % self.process.pid) as f:
                fields = f.read().rpartition(')')[2].split()
            return own + sum(map(int, fields[13:15])) / TICK
        except OSError:
            return None
