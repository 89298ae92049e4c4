#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/matrix_view.hpp"

namespace ds2fast::encoder {

/// What a tokeniser made of each word that it was asked for.
class WordTable {
 public:
  WordTable() = default;
  // Of a copy, the keys of its map would be the words of the other table.
  WordTable(const WordTable&) = delete;
  WordTable& operator=(const WordTable&) = delete;
  WordTable(WordTable&&) = default;
  WordTable& operator=(WordTable&&) = default;
  ~WordTable() = default;

  /// Notes the tokens of a word; of one that is known already nothing changes.
  void add(std::string_view word, VectorView<const std::int32_t> ids);

  /// The tokens of a word; `data` is null where the word is not known.
  VectorView<const std::int32_t> find(std::string_view word) const {
    const auto found = places_.find(word);
    if (found == places_.end()) {
      return {};
    }
    return {ids_.data() + found->second.begin, found->second.size};
  }

  void clear();

  /// Bytes that the words take, near enough.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Place {
    std::size_t begin;
    std::size_t size;
  };

  std::deque<std::string> words_;  // their bytes stay where they are
  // Begins with a place of its own, so that no tokens still have a pointer.
  std::vector<std::int32_t> ids_ = {0};
  std::unordered_map<std::string_view, Place> places_;
  std::size_t bytes_ = 0;
};

}  // namespace ds2fast::encoder
