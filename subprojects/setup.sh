#!/bin/sh
# Installs what building and testing swarm needs and this machine lacks, then configures build/. Quick when all is there.
set -eu
cd "$(dirname "$0")/.."

tools='g++ make meson ninja-build pkg-config python3 iproute2'  # make: parallel LTO; iproute2: tests on their own networks
libraries='libuv1-dev libcjson-dev libmbedtls-dev libcli11-dev doctest-dev nettle-dev libfmt-dev libexpected-dev node-llhttp'

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo > /dev/null; then sudo "$@"
  else echo "setup: run this as root: $*" >&2; exit 1
  fi
}

install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install "$@" < /dev/null; }

if command -v apt-get > /dev/null; then
  missing=
  for package in $tools $libraries; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) in
      installed) ;;
      *) missing="$missing $package" ;;
    esac
  done
  if [ -n "$missing" ]; then
    echo "setup: installing$missing"
    as_root apt-get -qq update
    if ! install $missing; then
      # Another release of Debian, or a relative of it, has some of them under other names: the wraps stand in.
      install $tools cmake
      for package in $missing; do install "$package" || echo "setup: no package $package, its wrap will be built"; done
    fi
  fi
else
  missing=
  for tool in c++ meson ninja pkg-config python3 cmake; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
  done
  if [ -n "$missing" ]; then
    echo "setup: please install$missing" >&2
    exit 1
  fi
  cat << 'END'
setup: this is not Debian. If your system packages them, install the development files of: libuv cJSON mbedTLS (2.28 or 3)
setup: CLI11 doctest nettle fmt tl-expected llhttp. Meson downloads and builds those that are missing, except nettle.
END
fi

[ -f build/build.ninja ] || meson setup build
