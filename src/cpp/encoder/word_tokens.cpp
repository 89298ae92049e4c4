#include "encoder/word_tokens.hpp"

#include <algorithm>
#include <array>

#include "core/parallel_for.hpp"

namespace ds2fast::encoder {
namespace {

enum class Kind : std::uint8_t { kOther, kBlank, kPunctuation, kWord };

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> kinds{};
  for (std::size_t byte = 0x21; byte < 0x7F; ++byte) {
    const bool is_word = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                         (byte >= 'a' && byte <= 'z');
    kinds[byte] = is_word ? Kind::kWord : Kind::kPunctuation;
  }
  for (const char blank : {' ', '\t', '\n', '\r'}) {
    kinds[static_cast<std::size_t>(blank)] = Kind::kBlank;
  }
  return kinds;
}

constexpr std::array<Kind, 256> kKinds = make_kinds();

Kind kind_of(char byte) {
  return kKinds[static_cast<unsigned char>(byte)];
}

char small(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
}

/// One worker's look at texts.
class Reader {
 public:
  Reader(const WordTable& table, const WordRules& rules) : table_(table), rules_(rules) {
    for (const std::string& literal : rules.literals) {
      begins_literal_[static_cast<unsigned char>(literal.front())] = true;
    }
  }

  /// Adds the text's tokens to `ids`; whether it was cut.
  bool read(std::string_view text, std::vector<std::int32_t>& ids) {
    ids_ = &ids;
    count_ = 0;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end && count_ <= rules_.most_tokens) {
      if (kind_of(*at) == Kind::kBlank) {
        ++at;
        continue;
      }
      const char* const begin = at;
      bool is_plain = true;
      for (; at < end && kind_of(*at) != Kind::kBlank; ++at) {
        is_plain = is_plain && kind_of(*at) != Kind::kOther;
      }
      const std::string_view piece(begin, static_cast<std::size_t>(at - begin));
      if (is_plain && !has_literal(piece)) {
        add_pieces(piece);
      } else {
        add(piece);
      }
    }
    return count_ > rules_.most_tokens;
  }

  std::unordered_set<std::string> missing;

 private:
  bool has_literal(std::string_view piece) {
    const bool may_have = std::any_of(piece.begin(), piece.end(), [this](char byte) {
      return begins_literal_[static_cast<unsigned char>(small(byte))];
    });
    if (!may_have) {
      return false;
    }
    lowered_.assign(piece);
    std::transform(lowered_.begin(), lowered_.end(), lowered_.begin(), small);
    return std::any_of(
        rules_.literals.begin(), rules_.literals.end(),
        [this](const std::string& found) { return lowered_.find(found) != std::string::npos; });
  }

  void add_pieces(std::string_view piece) {
    std::size_t at = 0;
    while (at < piece.size() && count_ <= rules_.most_tokens) {
      const std::size_t begin = at;
      lowered_.assign(1, small(piece[at++]));
      if (kind_of(piece[begin]) == Kind::kWord) {
        for (; at < piece.size() && kind_of(piece[at]) == Kind::kWord; ++at) {
          lowered_.push_back(small(piece[at]));
        }
      }
      add(lowered_);
    }
  }

  void add(std::string_view word) {
    const auto tokens = table_.find(word);
    if (tokens.data == nullptr) {
      missing.emplace(word);
      return;
    }
    for (const std::int32_t id : tokens) {
      if (++count_ > rules_.most_tokens) {
        return;
      }
      if (id != rules_.unknown) {
        ids_->push_back(id);
      }
    }
  }

  const WordTable& table_;
  const WordRules& rules_;
  std::array<bool, 256> begins_literal_{};
  std::string lowered_;
  std::vector<std::int32_t>* ids_ = nullptr;
  std::size_t count_ = 0;  // tokens so far, the unknown ones too
};

}  // namespace

WordTokens look_up_words(const WordTable& table, const WordRules& rules,
                         const std::vector<std::string_view>& texts, std::size_t num_threads,
                         Monitor& monitor) {
  WordTokens found;
  found.ids.resize((texts.size() + WordTokens::kTexts - 1) / WordTokens::kTexts);
  found.lengths.resize(texts.size());
  found.cut.resize(texts.size());
  std::vector<Reader> readers(num_threads, Reader(table, rules));
  parallel_chunks(texts.size(), WordTokens::kTexts, num_threads, monitor,
                  [&](std::size_t begin, std::size_t end, std::size_t worker) {
                    auto& ids = found.ids[begin / WordTokens::kTexts];
                    for (std::size_t text = begin; text < end; ++text) {
                      const std::size_t before = ids.size();
                      found.cut[text] = readers[worker].read(texts[text], ids) ? 1 : 0;
                      found.lengths[text] = static_cast<std::int64_t>(ids.size() - before);
                    }
                  });
  for (Reader& reader : readers) {
    found.missing.merge(reader.missing);
  }
  return found;
}

}  // namespace ds2fast::encoder
