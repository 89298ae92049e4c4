#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/monitor.hpp"
#include "encoder/word_table.hpp"

namespace ds2fast::encoder {

/// How a tokeniser with BERT's rules is to be imitated.
struct WordRules {
  /// Strings, in small letters, that the tokeniser finds before it splits anything.
  std::vector<std::string> literals;
  /// Tokens that are kept of a text; those of its words behind them do not count.
  std::size_t most_tokens = 0;
  /// Token that is left out, after the cut; -1: none.
  std::int32_t unknown = -1;
};

/// Token ids of texts, in chunks of kTexts of them, one text behind the other.
struct WordTokens {
  static constexpr std::size_t kTexts = 64;

  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::int64_t> lengths;
  std::vector<std::uint8_t> cut;
  /// Words that the table lacks. Where there are any, the ids are not to be used.
  std::unordered_set<std::string> missing;
};

/// Looks up the words of texts (UTF-8).
///
/// BERT's rules split at white space before anything else, so what stands between two blanks
/// (space, tab, line end) may be looked at alone. Where that is printable ASCII without a literal,
/// the rules make small letters of it and set punctuation apart: each of these pieces is a word.
/// Anything else is a word as it stands, of which the tokeniser knows best.
WordTokens look_up_words(const WordTable& table, const WordRules& rules,
                         const std::vector<std::string_view>& texts, std::size_t num_threads,
                         Monitor& monitor);

}  // namespace ds2fast::encoder
