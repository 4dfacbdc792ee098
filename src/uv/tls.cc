#include "uv/tls.hh"

#include <fmt/format.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/check.hh"
#include "base/endpoint.hh"
#include "base/text.hh"
#include "uv/random_bytes.hh"
#include "uv/tcp.hh"
#include "uv/timer.hh"

namespace swarm::uv {

namespace {

// ── where mbedTLS 2.28 and 3.6 differ ────────────────────────────────────────────────────────────────────────────────

#if MBEDTLS_VERSION_MAJOR >= 3
constexpr int too_old = MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION;
void prepare_library() { SWARM_CHECK(psa_crypto_init() == PSA_SUCCESS); }  // TLS 1.3 counts on it
void require_tls_1_2(mbedtls_ssl_config& config) {
  mbedtls_ssl_conf_min_tls_version(&config, MBEDTLS_SSL_VERSION_TLS1_2);
}
#else
constexpr int too_old = MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION;
void prepare_library() {}
void require_tls_1_2(mbedtls_ssl_config& config) {
  mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
}
#endif

/// Nothing is wrong, only there is no payload to read now.
bool means_later(int status) {
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
  if (status == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) return true;
#endif
  return status == MBEDTLS_ERR_SSL_WANT_READ || status == MBEDTLS_ERR_SSL_WANT_WRITE;
}

// ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

Error unreachable(std::string code, std::string message, std::string hint = {}) {
  return {Exit::unreachable, std::move(code), std::move(message), std::move(hint)};
}

std::string library_text(int status) {
  std::array<char, 160> text{};
  mbedtls_strerror(status, text.data(), text.size());
  return printable(text.data());
}

std::string date_text(const mbedtls_x509_time& t) { return fmt::format("{:04}-{:02}-{:02}", t.year, t.mon, t.day); }

constexpr int san_dns = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2, san_ip = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7;

std::string_view text_of(const mbedtls_x509_buf& b) { return {reinterpret_cast<const char*>(b.p), b.len}; }

/// "a, b, c", of the names that a certificate is for.
std::string names_text(const mbedtls_x509_crt& certificate) {
  constexpr int told = 3;
  std::string out;
  int count = 0;
  for (const auto* san = &certificate.subject_alt_names; san != nullptr; san = san->next) {
    if (san->buf.tag != san_dns || san->buf.p == nullptr || ++count > told) continue;
    out += (out.empty() ? "" : ", ") + fit(printable(text_of(san->buf)), 60);
  }
  if (count > told) out += ", …";
  if (!out.empty()) return out;
  for (const auto* part = &certificate.subject; part != nullptr; part = part->next) {
    if (part->val.p != nullptr && MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0)
      return fit(printable(text_of(part->val)), 60);
  }
  return "no host";
}

bool names_address(const mbedtls_x509_crt& certificate, const IpAddress& address) {
  const auto bytes = address.is_v4() ? ByteView(address.bytes).subspan(12) : ByteView(address.bytes);
  for (const auto* san = &certificate.subject_alt_names; san != nullptr; san = san->next) {
    if (san->buf.tag == san_ip && std::ranges::equal(ByteView(san->buf.p, san->buf.len), bytes)) return true;
  }
  return false;
}

}  // namespace

// ── whom to trust ────────────────────────────────────────────────────────────────────────────────────────────────────

struct TrustStore::Certificates {
  mbedtls_x509_crt chain{};
  Certificates() { mbedtls_x509_crt_init(&chain); }
  ~Certificates() { mbedtls_x509_crt_free(&chain); }
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  bool empty() const { return chain.raw.p == nullptr; }
};

TrustStore::TrustStore() : certificates_(std::make_unique<Certificates>()) {}
TrustStore::~TrustStore() = default;

TrustPlaces TrustPlaces::of_environment() {
  TrustPlaces out;
  const char* file = std::getenv("SSL_CERT_FILE");
  const char* folders = std::getenv("SSL_CERT_DIR");
  if (file != nullptr && *file != '\0') out.files.emplace_back(file);
  if (folders != nullptr) {
    for (const auto part : split(folders, ':')) {
      if (!part.empty()) out.folders.emplace_back(part);
    }
  }
  out.both = !out.files.empty() && !out.folders.empty();
  if (!out.files.empty() || !out.folders.empty()) return out;
  out.files = {"/etc/ssl/certs/ca-certificates.crt",                 // Debian, Arch, Gentoo
               "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL
               "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // the same, newer
               "/etc/ssl/ca-bundle.pem",                             // openSUSE
               "/etc/ssl/cert.pem",                                  // Alpine, OpenBSD, macOS
               "/usr/local/share/certs/ca-root-nss.crt"};            // FreeBSD
  out.folders = {"/etc/ssl/certs", "/etc/pki/tls/certs"};
  return out;
}

Result<std::shared_ptr<const TrustStore>> TrustStore::load(const TrustPlaces& places) {
  std::shared_ptr<TrustStore> store(new TrustStore);
  auto& chain = store->certificates_->chain;
  for (const auto& file : places.files) {
    if (store->certificates_->empty()) mbedtls_x509_crt_parse_file(&chain, file.c_str());
  }
  if (places.both || store->certificates_->empty()) {
    for (const auto& folder : places.folders) mbedtls_x509_crt_parse_path(&chain, folder.c_str());
  }
  // Single certificates that are too new or too odd for the library are left out; the others still count.
  if (!store->certificates_->empty()) return store;
  auto where = places.files;
  where.insert(where.end(), places.folders.begin(), places.folders.end());
  return fail(Exit::unreachable, "no_ca_store",
              fmt::format("https needs certificates of authorities, and there are none in {}",
                          printable(fmt::format("{}", fmt::join(where, ", ")))),
              "Install ca-certificates, or name a PEM file: SSL_CERT_FILE=FILE");
}

// ── one connection ───────────────────────────────────────────────────────────────────────────────────────────────────

//   handshake ──► open ──► ended
//       └───────────────────▲
struct TlsStream::State {
  enum class Phase : std::uint8_t { handshake, open, ended };

  std::shared_ptr<const TrustStore> trust;
  std::string host, place;
  std::optional<IpAddress> address;  ///< when the host is one
  Events events;
  mbedtls_ssl_config config{};
  mbedtls_ssl_context ssl{};
  Phase phase = Phase::handshake;
  bool reading = true;
  bool said_something = false;   ///< the other side has
  std::optional<int> tcp_ended;  ///< 0, or the libuv error
  Buffer incoming;               ///< encrypted; at most what TcpStream gave at once
  std::size_t taken = 0;         ///< of it
  Buffer waiting;                ///< written before the handshake was over
  std::optional<Error> bad;      ///< what the certificate lacks
  bool* gone = nullptr;          ///< set by the destructor, for whoever called back
  Timer later;                   ///< goes on where reading stopped
  std::unique_ptr<TcpStream> tcp;

  explicit State(Loop& loop) : later(loop, [this] { pump(); }) {
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
  }
  ~State() {
    if (gone != nullptr) *gone = true;
    if (phase == Phase::open) mbedtls_ssl_close_notify(&ssl);  // the goodbye of rule 3
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int set_up();
  int judge(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags);
  void on_encrypted(ByteView bytes);
  void pump();
  bool shake();
  void end(Result<void> how);
  Error failure(int status);
  void encrypt(ByteView bytes);
  void settle_tcp() { tcp->read(phase == Phase::handshake || (phase == Phase::open && reading)); }
};

TlsStream::TlsStream(Loop& loop, Descriptor socket, std::shared_ptr<const TrustStore> trust, const std::string& host,
                     std::string place, Events events)
    : state_(std::make_unique<State>(loop)) {
  auto* s = state_.get();
  s->trust = std::move(trust);
  s->host = host;
  s->address = IpAddress::from(host);
  s->place = std::move(place);
  s->events = std::move(events);
  s->tcp = std::make_unique<TcpStream>(loop, std::move(socket),
                                       TcpStream::Events{.on_bytes = [s](ByteView b) { s->on_encrypted(b); },
                                                         .on_end =
                                                             [s](int error) {
                                                               s->tcp_ended = error;
                                                               s->pump();
                                                             },
                                                         .on_drained = [] {}});
  const int status = s->set_up();
  SWARM_CHECK(status == 0);  // only a lack of memory can keep it from that
  s->tcp->read(true);
  s->later.start({});
}

TlsStream::~TlsStream() = default;

int TlsStream::State::set_up() {
  prepare_library();
  if (const int status = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                     MBEDTLS_SSL_PRESET_DEFAULT)) {
    return status;
  }
  require_tls_1_2(config);
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&config, &trust->certificates_->chain, nullptr);
  mbedtls_ssl_conf_rng(
      &config,
      [](void*, unsigned char* out, std::size_t length) noexcept -> int {
        random_bytes({out, length});
        return 0;
      },
      nullptr);
  if (const int status = mbedtls_ssl_setup(&ssl, &config)) return status;
  // For an address judge() looks itself: it must not be told to the server, and 2.28 compares only DNS names.
  if (const int status = mbedtls_ssl_set_hostname(&ssl, address ? nullptr : host.c_str())) return status;
  mbedtls_ssl_set_verify(
      &ssl,
      [](void* self, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags) noexcept -> int {
        return static_cast<State*>(self)->judge(*certificate, depth, *flags);
      },
      this);
  mbedtls_ssl_set_bio(
      &ssl, this,
      [](void* self, const unsigned char* bytes, std::size_t length) noexcept -> int {
        static_cast<State*>(self)->tcp->write({bytes, bytes + length});
        return static_cast<int>(length);
      },
      [](void* self, unsigned char* into, std::size_t length) noexcept -> int {
        auto& s = *static_cast<State*>(self);
        const std::size_t count = std::min(length, s.incoming.size() - s.taken);
        if (count == 0) return s.tcp_ended ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
        std::copy_n(s.incoming.begin() + static_cast<std::ptrdiff_t>(s.taken), count, into);
        s.taken += count;
        return static_cast<int>(count);
      },
      nullptr);
  return 0;
}

/// Called for each certificate of the chain, from the root to the host's own (depth 0), with what is wrong with it.
int TlsStream::State::judge(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags) {
  if (depth == 0 && address && !names_address(certificate, *address)) flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  if (flags == 0 || bad) return 0;
  const auto whose = depth == 0 ? fmt::format("the certificate of {}", place)
                                : fmt::format("an authority's certificate behind {}", place);
  const auto clock = "Is the clock of this machine right?";
  if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
    bad = unreachable("untrusted", fmt::format("{} is not signed by an authority that this machine trusts", whose),
                      "If it is your own server, name its authority: SSL_CERT_FILE=ca.pem");
  } else if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) {
    bad = unreachable("certificate_expired", fmt::format("{} expired on {}", whose, date_text(certificate.valid_to)),
                      clock);
  } else if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0) {
    bad = unreachable("certificate_not_yet_valid",
                      fmt::format("{} is not valid before {}", whose, date_text(certificate.valid_from)), clock);
  } else if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) {
    bad = unreachable("wrong_host", fmt::format("{} is for {}", whose, names_text(certificate)),
                      "Use the name that the certificate is for");
  } else {
    std::array<char, 256> text{};
    mbedtls_x509_crt_verify_info(text.data(), text.size(), "", flags);
    const std::string_view words = text.data();
    bad = unreachable("bad_certificate",
                      fmt::format("{} is not acceptable: {}", whose, printable(words.substr(0, words.find('\n')))));
  }
  return 0;
}

void TlsStream::State::on_encrypted(ByteView bytes) {
  if (phase == Phase::ended) return;
  // All records begin with their type, 20 … 24. Who answers in another way speaks no TLS (an HTTP server, mostly).
  if (!std::exchange(said_something, true) && (bytes[0] < 20 || bytes[0] > 24)) {
    return end(tl::unexpected(unreachable("not_tls", fmt::format("{} does not speak TLS", place), "Try http://")));
  }
  append(incoming, bytes);
  pump();
}

/// Takes what came as far as that is wanted.
void TlsStream::State::pump() {
  if (phase == Phase::handshake && !shake()) return;  // which may have destroyed us
  thread_local std::array<std::uint8_t, 16 * 1024> plain;
  while (phase == Phase::open && reading) {
    const auto before = taken;
    const int count = mbedtls_ssl_read(&ssl, plain.data(), plain.size());
    if (means_later(count)) {
      // What was taken was none of ours (a session ticket, say), and more may stand behind it.
      if (taken != before && (taken < incoming.size() || mbedtls_ssl_check_pending(&ssl) != 0)) continue;
      break;
    }
    if (count == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) return end({});
    if (count <= 0) return end(tl::unexpected(failure(count)));
    bool dropped = false;
    gone = &dropped;
    const auto on_bytes = events.on_bytes;  // a copy, since it may destroy us with all that is ours
    on_bytes(ByteView(plain).first(static_cast<std::size_t>(count)));
    if (dropped) return;
    gone = nullptr;
  }
  if (taken == incoming.size()) {
    incoming.clear();
    taken = 0;
  }
}

/// True once the stream is open.
bool TlsStream::State::shake() {
  const int status = mbedtls_ssl_handshake(&ssl);
  if (means_later(status)) {
    if (taken == incoming.size()) incoming.clear(), taken = 0;
    return false;
  }
  if (status != 0) return end(tl::unexpected(failure(status))), false;
  phase = Phase::open;
  bool dropped = false;
  gone = &dropped;
  const auto on_ready = events.on_ready;
  on_ready();
  if (dropped) return false;
  gone = nullptr;
  if (phase == Phase::open && !waiting.empty()) encrypt(std::exchange(waiting, {}));
  return phase == Phase::open;
}

Error TlsStream::State::failure(int status) {
  if (bad) return *bad;
  const bool shaking = phase == Phase::handshake;
  if (status == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    return unreachable("tls_refused", fmt::format("{} refused {}", place, shaking ? "the TLS handshake" : "to go on"));
  }
  if (status == too_old) {
    return unreachable("tls_too_old", fmt::format("{} does not speak TLS 1.2 or newer", place));
  }
  if (tcp_ended && taken == incoming.size()) {
    const auto why = *tcp_ended == 0 ? std::string() : fmt::format(" ({})", uv_strerror(*tcp_ended));
    return unreachable(
        shaking ? "tls_refused" : "cut_off",
        fmt::format("{} hung up {}{}", place, shaking ? "during the TLS handshake" : "without a goodbye", why));
  }
  return unreachable("tls_failed", fmt::format("TLS with {} failed: {}", place, library_text(status)));
}

void TlsStream::State::end(Result<void> how) {
  if (std::exchange(phase, Phase::ended) == Phase::ended) return;
  tcp->read(false);
  later.stop();
  const auto on_end = events.on_end;
  on_end(std::move(how));
}

void TlsStream::State::encrypt(ByteView bytes) {
  while (!bytes.empty()) {
    const int count = mbedtls_ssl_write(&ssl, bytes.data(), bytes.size());
    if (count <= 0) return;  // the connection is broken, which reading will tell; sending never has to wait
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void TlsStream::read(bool wanted) {
  if (std::exchange(state_->reading, wanted) == wanted) return;
  state_->settle_tcp();
  if (wanted && state_->phase == State::Phase::open) state_->later.start({});
}

void TlsStream::write(Buffer bytes) {
  if (state_->phase == State::Phase::handshake) append(state_->waiting, bytes);
  if (state_->phase == State::Phase::open) state_->encrypt(bytes);
}

}  // namespace swarm::uv
