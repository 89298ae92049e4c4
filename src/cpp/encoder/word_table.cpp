#include "encoder/word_table.hpp"

namespace ds2fast::encoder {
namespace {

constexpr std::size_t kBytesOfEntry = 128;  // a node, its bucket, and the word's own header

}  // namespace

void WordTable::add(std::string_view word, VectorView<const std::int32_t> ids) {
  if (places_.find(word) != places_.end()) {
    return;
  }
  words_.emplace_back(word);
  places_.emplace(words_.back(), Place{ids_.size(), ids.size});
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  bytes_ += kBytesOfEntry + word.size() + ids.size * sizeof(std::int32_t);
}

void WordTable::clear() {
  places_.clear();
  words_.clear();
  ids_.assign(1, 0);
  bytes_ = 0;
}

}  // namespace ds2fast::encoder
