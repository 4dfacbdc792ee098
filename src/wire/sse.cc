#include "wire/sse.hh"

#include <algorithm>
#include <charconv>
#include <utility>

namespace swarm::wire {

bool EventReader::on_received(ByteView bytes) {
  for (const char c : as_text(bytes)) {
    if (faulty_) return false;
    const bool second_half = c == '\n' && after_cr_;  // of CR LF
    after_cr_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r') {
      on_line();
    } else if (line_.size() + data_.size() >= bytes_max_) {
      faulty_ = true;
    } else {
      line_ += c;
    }
  }
  return !faulty_;
}

std::optional<ServerEvent> EventReader::next() {
  if (events_.empty()) return std::nullopt;
  auto event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void EventReader::on_line() {
  const auto line = std::exchange(line_, {});
  std::string_view text = line;
  if (std::exchange(at_start_, false) && text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.empty()) return dispatch();
  const auto colon = text.find(':');
  if (colon == 0) return;
  auto value = colon == text.npos ? std::string_view() : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  on_field(text.substr(0, colon), value);
}

void EventReader::on_field(std::string_view name, std::string_view value) {
  if (name == "event") {
    type_ = value;
    has_type_ = !value.empty();
  } else if (name == "data") {
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (name == "id") {
    if (value.find('\0') == value.npos) id_ = value;
  } else if (name == "retry") {
    std::uint64_t ms = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
    if (error == std::errc{} && end == value.data() + value.size()) retry_ms_ = ms;
  }
}

/// The id counts even where there are no data: the server has said how far it is.
void EventReader::dispatch() {
  last_id_ = id_;
  ServerEvent event;
  if (std::exchange(has_type_, false)) event.type = std::exchange(type_, {});
  event.data = std::exchange(data_, {});
  event.id = last_id_;
  if (std::exchange(has_data_, false)) events_.push_back(std::move(event));
}

std::string text(const ServerEvent& event) {
  std::string out;
  if (!event.id.empty()) out += "id: " + event.id + "\n";
  if (event.type != "message") out += "event: " + event.type + "\n";
  for (std::size_t at = 0; at <= event.data.size();) {
    const auto end = std::min(event.data.find('\n', at), event.data.size());
    out += "data: " + event.data.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out + "\n";
}

}  // namespace swarm::wire
