"""What a process costs while it runs: CPU seconds and peak memory, from the kernel's account of it.

    with Account(process) as spent: ...      # or spent = Account(process); ...; spent.close()
    spent.cpu(), spent.peak_mib

The kernel's ru_maxrss would begin with the memory of the Python that forked, so the peak is VmHWM, looked at every 10 ms (it only
rises, but for what comes in the last of these). CPU time is read once more when the process has ended, before anybody reaps it."""
import os
import threading

TICK = os.sysconf('SC_CLK_TCK')
LOOK_EVERY = 0.01


def exact_cpu(pid):
    """CPU seconds of the threads that live, to the nanosecond: for what hardly does anything."""
    total = 0
    for thread in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/schedstat' % (pid, thread)) as f:
            total += int(f.read().split()[0])
    return total / 1e9


class Account:
    def __init__(self, process):
        self.process, self.peak_mib, self._cpu, self._close = process, 0.0, 0.0, threading.Event()
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
            with open('/proc/%d/stat' % self.process.pid) as f:
                fields = f.read().rpartition(')')[2].split()
            return sum(map(int, fields[11:15])) / TICK
        except OSError:
            return None
