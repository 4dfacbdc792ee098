// TLS: the client's side of an encrypted connection (mbedTLS), and the authorities that vouch for who is at its other end.
//
// Rules
// 1. TLS 1.2 or newer. The chain must lead to an authority of the TrustStore, be valid today, and name the host that was
//    asked for: as a DNS name, or for an address as an IP address among the alternative names (RFC 2818, RFC 5280). There
//    is no way to switch that off; who runs an authority of his own names it in SSL_CERT_FILE.
// 2. The host is told to the server (SNI, RFC 6066), unless it is an address.
// 3. A stream that ends without TLS's own goodbye was cut: that is an error, else a truncated reply could pass for whole.
// 4. Memory: one record each way (16 KiB), at most 64 KiB that came and were not yet decrypted, and what write() was given.
//
// A handshake takes a few milliseconds of the loop, which is less than handing it to a worker and back would cost.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "base/error.hh"
#include "uv/descriptor.hh"
#include "uv/loop.hh"

namespace swarm::uv {

/// Where the certificates of authorities are looked for.
struct TrustPlaces {
  std::vector<std::string> files;    ///< PEM; the first that exists is taken
  std::vector<std::string> folders;  ///< all of their files are taken, when no file was
  bool both = false;                 ///< … or besides it
  /// SSL_CERT_FILE and SSL_CERT_DIR (several, with ':' between) where they are set, else where systems keep them.
  static TrustPlaces of_environment();
};

/// The certificates of the authorities that this machine trusts. Does not change once it is loaded.
class TrustStore {
 public:
  /// Takes about 100 ms for a system's store: for a worker. Exit::unreachable "no_ca_store".
  static Result<std::shared_ptr<const TrustStore>> load(const TrustPlaces& places);
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

 private:
  friend class TlsStream;
  struct Certificates;
  TrustStore();
  std::unique_ptr<Certificates> certificates_;
};

/// One encrypted connection. Its callbacks may destroy it.
class TlsStream {
 public:
  struct Events {
    std::function<void()> on_ready;          ///< the other side is who it should be; write() may begin
    std::function<void(ByteView)> on_bytes;  ///< valid during the call
    /// Nothing follows. An error has Exit::unreachable: "untrusted", "certificate_expired", "certificate_not_yet_valid",
    /// "wrong_host", "bad_certificate", "not_tls", "tls_too_old", "tls_refused", "tls_failed"; "cut_off" by rule 3 and for broken
    /// connections.
    std::function<void(Result<void>)> on_end;
  };

  /// `host` is what the certificate must name; `place` is how messages call the other side ("nas:443").
  TlsStream(Loop& loop, Descriptor socket, std::shared_ptr<const TrustStore> trust, const std::string& host,
            std::string place, Events events);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  void read(bool wanted);  ///< after on_ready; it is wanted at first. What is not read is not taken from the network
  void write(Buffer bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace swarm::uv
