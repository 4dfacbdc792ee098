#include "base/sha1.hh"

#include <algorithm>
#include <new>
#include <type_traits>

#include "base/sha1_pair.hh"

#ifdef SWARM_NETTLE
#include <nettle/sha1.h>
#else
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>
#endif

namespace swarm {

namespace {

#ifdef SWARM_NETTLE

using Context = sha1_ctx;

void start(Context& c) { sha1_init(&c); }
void feed(Context& c, ByteView bytes) { sha1_update(&c, bytes.size(), bytes.data()); }
void finish(Context& c, std::uint8_t* out) { sha1_digest(&c, SHA1_DIGEST_SIZE, out); }

/// Gives how many bytes of each went in.
std::size_t feed_pair(Context& a, ByteView a_bytes, Context& b, ByteView b_bytes) {
  const std::size_t blocks = std::min(a_bytes.size(), b_bytes.size()) / sha1_block_bytes;
  if (blocks == 0 || a.index != 0 || b.index != 0 || !has_sha1_pair()) return 0;
  sha1_compress_pair(a.state, a_bytes.data(), b.state, b_bytes.data(), blocks);
  a.count += blocks;
  b.count += blocks;
  return blocks * sha1_block_bytes;
}

#else

using Context = mbedtls_sha1_context;

// 3.0 dropped the suffix that 2.x needs for the functions that are not deprecated.
#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha1_starts mbedtls_sha1_starts_ret
#define mbedtls_sha1_update mbedtls_sha1_update_ret
#define mbedtls_sha1_finish mbedtls_sha1_finish_ret
#endif

void start(Context& c) {
  mbedtls_sha1_init(&c);
  mbedtls_sha1_starts(&c);
}
void feed(Context& c, ByteView bytes) { mbedtls_sha1_update(&c, bytes.data(), bytes.size()); }
void finish(Context& c, std::uint8_t* out) {
  mbedtls_sha1_finish(&c, out);
  start(c);
}

std::size_t feed_pair(Context&, ByteView, Context&, ByteView) { return 0; }

#endif

Context& context(unsigned char* state) { return *std::launder(reinterpret_cast<Context*>(state)); }

}  // namespace

// The context is plain memory in both libraries, so that copying a Sha1 copies a hash in the middle.
static_assert(std::is_trivially_copyable_v<Context> && alignof(Context) <= 8);

Sha1::Sha1() noexcept {
  static_assert(sizeof(Context) <= sizeof state_);
  start(*new (state_) Context);
}

void Sha1::update(ByteView bytes) noexcept { feed(context(state_), bytes); }

Sha1Digest Sha1::finish() noexcept {
  Sha1Digest out;
  swarm::finish(context(state_), out.bytes.data());
  return out;
}

void update_both(Sha1& first, ByteView first_bytes, Sha1& second, ByteView second_bytes) noexcept {
  const std::size_t done = feed_pair(context(first.state_), first_bytes, context(second.state_), second_bytes);
  first.update(first_bytes.subspan(done));
  second.update(second_bytes.subspan(done));
}

Sha1Digest sha1(ByteView bytes) noexcept {
  Sha1 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace swarm
