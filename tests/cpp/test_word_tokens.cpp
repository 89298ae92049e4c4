#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "check.hpp"
#include "encoder/word_table.hpp"
#include "encoder/word_tokens.hpp"

namespace {

namespace encoder = ds2fast::encoder;

using Ids = std::vector<std::int32_t>;
using Texts = std::vector<std::string_view>;

encoder::WordTable table_of(std::initializer_list<std::pair<std::string_view, Ids>> words) {
  encoder::WordTable table;
  for (const auto& [word, ids] : words) {
    table.add(word, {ids.data(), ids.size()});
  }
  return table;
}

encoder::WordTokens look_up(const encoder::WordTable& table, const Texts& texts,
                            const encoder::WordRules& rules, std::size_t threads = 1) {
  ds2fast::SilentMonitor monitor;
  return encoder::look_up_words(table, rules, texts, threads, monitor);
}

const encoder::WordRules kNoRules{{}, 100, -1};

TEST(words_are_small_letters_and_punctuation_stands_apart) {
  const auto table = table_of({{"frog", {1}}, {",", {2}}, {"toad2", {3, 4}}, {"-", {5}}});
  const auto found = look_up(table, {"Frog,TOAD2\t--\nfrog"}, kNoRules);
  CHECK(found.missing.empty());
  CHECK((found.ids[0] == Ids{1, 2, 3, 4, 5, 5, 1}));
  CHECK(found.lengths[0] == 7 && found.cut[0] == 0);
}

TEST(other_characters_make_a_word_of_all_between_two_blanks) {
  const auto found = look_up({}, {"(a) x\xC3\x89-Y, B\x01\r"}, kNoRules);
  CHECK((found.missing == std::unordered_set<std::string>{"(", "a", ")", "x\xC3\x89-Y,", "B\x01"}));
}

TEST(a_literal_makes_a_word_of_all_between_two_blanks) {
  const auto found = look_up({}, {"a[X] [y] [xx"}, {{"[x]"}, 100, -1});
  CHECK((found.missing == std::unordered_set<std::string>{"a[X]", "[", "y", "]", "xx"}));
}

TEST(a_text_is_cut_before_unknown_tokens_are_left_out) {
  const auto table = table_of({{"a", {7}}, {"b", {0}}, {"c", {8, 9, 8}}, {"d", {}}});
  const auto found = look_up(table, {"b a c", "b a", "", "a c", "d a b d"}, {{}, 3, 0});
  CHECK((found.ids[0] == Ids{7, 8, 7, 7, 8, 9, 7}));
  CHECK((found.lengths == std::vector<std::int64_t>{2, 1, 0, 3, 1}));
  CHECK((found.cut == std::vector<std::uint8_t>{1, 0, 0, 1, 0}));
}

TEST(threads_change_nothing) {
  const auto table = table_of({{"a", {1}}, {"b", {2, 3}}});
  const Texts texts(1000, "a b b a");
  const auto one = look_up(table, texts, kNoRules, 1);
  const auto many = look_up(table, texts, kNoRules, 7);
  CHECK(one.ids == many.ids && one.lengths == many.lengths && one.cut == many.cut);
}

TEST(a_known_word_stays_and_a_cleared_one_is_gone) {
  auto table = table_of({{"a", {1}}, {"a", {2}}, {"none", {}}});
  CHECK(table.find("a").size == 1 && table.find("a")[0] == 1);
  CHECK(table.find("none").data != nullptr && table.find("none").size == 0);
  CHECK(table.find("b").data == nullptr && table.bytes() > 0);
  table.clear();
  CHECK(table.find("a").data == nullptr && table.bytes() == 0);
}

}  // namespace
