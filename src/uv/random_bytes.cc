#include "uv/random_bytes.hh"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/check.hh"

namespace swarm::uv {

namespace {

class Generator {
 public:
  Generator() {
    mbedtls_entropy_init(&entropy_);
    mbedtls_ctr_drbg_init(&drbg_);
    constexpr std::string_view personal = "swarm";
    SWARM_CHECK(mbedtls_ctr_drbg_seed(&drbg_, mbedtls_entropy_func, &entropy_, as_bytes(personal).data(),
                                      personal.size()) == 0);
  }
  ~Generator() {
    mbedtls_ctr_drbg_free(&drbg_);
    mbedtls_entropy_free(&entropy_);
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  void fill(ByteSpan bytes) {
    const std::lock_guard lock(mutex_);
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min<std::size_t>(bytes.size(), MBEDTLS_CTR_DRBG_MAX_REQUEST));
      SWARM_CHECK(mbedtls_ctr_drbg_random(&drbg_, part.data(), part.size()) == 0);
      bytes = bytes.subspan(part.size());
    }
  }

 private:
  std::mutex mutex_;
  mbedtls_entropy_context entropy_{};
  mbedtls_ctr_drbg_context drbg_{};
};

}  // namespace

void random_bytes(ByteSpan bytes) noexcept {
  static Generator generator;
  generator.fill(bytes);
}

std::uint64_t random_u64() noexcept {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  return load_u64(bytes.data());
}

}  // namespace swarm::uv
