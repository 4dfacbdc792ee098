#include "base/sha256.hh"

#include <new>
#include <type_traits>

#ifdef SWARM_NETTLE
#include <nettle/sha2.h>
#else
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#endif

namespace swarm {

namespace {

#ifdef SWARM_NETTLE

using Context = sha256_ctx;

void start(Context& c) { sha256_init(&c); }
void feed(Context& c, ByteView bytes) { sha256_update(&c, bytes.size(), bytes.data()); }
void finish(Context& c, std::uint8_t* out) { sha256_digest(&c, SHA256_DIGEST_SIZE, out); }

#else

using Context = mbedtls_sha256_context;

// 3.0 dropped the suffix that 2.x needs for the functions that are not deprecated.
#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

void start(Context& c) {
  mbedtls_sha256_init(&c);
  mbedtls_sha256_starts(&c, 0);  // 0: not SHA-224
}
void feed(Context& c, ByteView bytes) { mbedtls_sha256_update(&c, bytes.data(), bytes.size()); }
void finish(Context& c, std::uint8_t* out) {
  mbedtls_sha256_finish(&c, out);
  start(c);
}

#endif

Context& context(unsigned char* state) { return *std::launder(reinterpret_cast<Context*>(state)); }

}  // namespace

// The context is plain memory in both libraries, so that copying a Sha256 copies a hash in the middle.
static_assert(std::is_trivially_copyable_v<Context> && alignof(Context) <= 8);

Sha256::Sha256() noexcept {
  static_assert(sizeof(Context) <= sizeof state_);
  start(*new (state_) Context);
}

void Sha256::update(ByteView bytes) noexcept { feed(context(state_), bytes); }

Sha256Digest Sha256::finish() noexcept {
  Sha256Digest out;
  swarm::finish(context(state_), out.bytes.data());
  return out;
}

Sha256Digest sha256(ByteView bytes) noexcept {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace swarm
