"""Test hosts: machines that a test may give addresses, rates and broken cables without leaving this one.

    with hosts.Lan(4, mbit=400) as lan:      # four network namespaces on one bridge; needs root
        lan[0].ip4, lan[0].ip6               # 10.77.0.1, fd77::1
        lan[1].unplug()                      # carrier lost, addresses kept; plug() mends it
    with hosts.Local(3) as local:            # the same interface on 127.0.0.1 … 3, for everybody

Nothing leaves the bridge: no namespace has a way out. The namespaces carry this process's id, go when the `with` ends,
and a later run removes those of a process that died without a chance to."""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess

from case import Skip


class Host:
    """One machine: where commands run, sockets open and bytes are counted."""

    def __init__(self, name, ip4, ip6):
        self.name, self.ip4, self.ip6 = name, ip4, ip6

    def command(self, argv):
        """argv as it must be started to run here and to die with this script, however that ends."""
        return ['setpriv', '--pdeathsig', 'KILL', *argv] if shutil.which('setpriv') else list(argv)

    def inside(self):
        """While this is open, sockets that the calling thread makes belong to this host."""
        return contextlib.nullcontext()

    def connect(self, address, timeout=10):
        """A TCP connection from this host to (ip, port)."""
        six = ':' in address[0]
        with self.inside():
            s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        try:
            s.settimeout(timeout)
            s.bind((self.ip6 if six else self.ip4, 0))
            s.connect(address)
        except BaseException:
            s.close()
            raise
        return s

    def listen(self, port=0):
        """A listening TCP socket on this host's IPv4 address."""
        with self.inside():
            s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.ip4, port))
        s.listen(64)
        return s


class Local:
    """Hosts without namespaces: the same machine under several loopback addresses."""

    def __init__(self, count=1):
        self.hosts = [Host('local%d' % i, '127.0.0.%d' % i, '::1') for i in range(1, count + 1)]

    def __enter__(self):
        return self.hosts

    def __exit__(self, *_):
        pass


class Lan:
    """Hosts on one bridge, each with its own network stack; with `mbit`, each sends and receives at that rate."""

    def __init__(self, count, mbit=None):
        if os.geteuid() != 0:
            raise Skip('test hosts are network namespaces, which need root')
        if not all(shutil.which(tool) for tool in ('ip', 'tc', 'setpriv')):
            raise Skip('test hosts need ip and tc (iproute2) and setpriv (util-linux)')
        self.prefix, self.mbit = '%s%d' % (PREFIX, os.getpid()), mbit
        self.switch = self.prefix + '-switch'
        self.hosts = [LanHost(self, i) for i in range(1, count + 1)]

    def __enter__(self):
        remove_namespaces(owner_is_gone)
        try:
            ip(None, *['netns add ' + name for name in [self.switch, *(h.name for h in self.hosts)]])
            ip(self.switch, 'link add br0 type bridge', 'link set br0 up')
            for h in self.hosts:
                h.attach()
        except subprocess.CalledProcessError as e:
            self.__exit__()
            raise Skip('no network namespaces here: ' + e.stderr.strip())
        return self.hosts

    def __exit__(self, *_):
        remove_namespaces(lambda owner: owner == os.getpid())


class LanHost(Host):
    def __init__(self, lan, i):
        super().__init__('%s-%d' % (lan.prefix, i), '10.77.0.%d' % i, 'fd77::%d' % i)
        self.lan, self.port = lan, 'p%d' % i

    def attach(self):
        ip(self.lan.switch, 'link add %s type veth peer name v0 netns %s' % (self.port, self.name),
           'link set %s master br0 up' % self.port)
        ip(self.name, 'link set lo up', 'link set v0 up', 'addr add %s/24 dev v0' % self.ip4,
           'addr add %s/64 dev v0 nodad' % self.ip6)
        if self.lan.mbit:
            shape = 'root tbf rate %dmbit burst 128k latency 30ms' % self.lan.mbit
            run('tc', '-n', self.name, *('qdisc add dev v0 ' + shape).split())
            run('tc', '-n', self.lan.switch, *('qdisc add dev %s %s' % (self.port, shape)).split())

    def command(self, argv):
        return super().command(['ip', 'netns', 'exec', self.name, *argv])

    @contextlib.contextmanager
    def inside(self):
        back = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        there = os.open('/run/netns/' + self.name, os.O_RDONLY)
        try:
            enter_namespace(there)
            yield
        finally:
            enter_namespace(back)
            os.close(there), os.close(back)

    def unplug(self):
        ip(self.lan.switch, 'link set %s down' % self.port)

    def plug(self):
        ip(self.lan.switch, 'link set %s up' % self.port)

    def received(self):
        """Bytes that reached this host so far, headers and all."""
        return self._counter(0)

    def sent(self):
        """Bytes that left it."""
        return self._counter(8)

    def _counter(self, column):
        with self.inside(), open('/proc/thread-self/net/dev') as f:
            return int(re.search(r'^\s*v0:(.*)', f.read(), re.M)[1].split()[column])


PREFIX = 'swt'
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def enter_namespace(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns')


def ip(namespace, *lines):
    """Several `ip` commands in one namespace at the price of one process."""
    where = ['-n', namespace] if namespace else []
    subprocess.run(['ip', *where, '-batch', '-'], input='\n'.join(lines) + '\n', check=True, capture_output=True, text=True)


def run(*argv):
    subprocess.run(argv, check=True, capture_output=True, text=True)


def remove_namespaces(chosen):
    """Removes the namespaces of those owners (process ids) that `chosen` accepts, and who still runs there: a process that
    changed its user, as opentracker does, forgets that it must die with its parent."""
    names = os.listdir('/run/netns') if os.path.isdir('/run/netns') else []
    for name in names:
        m = re.match(PREFIX + r'(\d+)-', name)
        if m and chosen(int(m[1])):
            for pid in subprocess.run(['ip', 'netns', 'pids', name], capture_output=True, text=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


def owner_is_gone(pid):
    return not os.path.exists('/proc/%d' % pid)
