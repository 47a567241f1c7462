#include "outline/openings.h"

#include <algorithm>

namespace anabranch {
namespace {

/// What may stand between a title and its body, in UTF-8.
constexpr std::string_view kSeparators[] = {" ", "\t", "\n", ":", "*", "-", "–", "—", "："};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Names a list that has no numbers.
std::string key_of(const ItemMark& mark) {
  if (mark.bold_lead()) return "**";
  std::string key = std::to_string(mark.heading > 0 ? mark.heading : mark.indent);
  key += mark.heading > 0 ? '#' : mark.bullet;
  return key;
}

bool is_table_rule(std::string_view line) {
  return line.find('|') != std::string_view::npos && line.find("--") != std::string_view::npos &&
         line.find_first_not_of("|-: \t") == std::string_view::npos;
}

/// Whether all of `text` may be a separator, behind the line's end or before it. Behind it come
/// further line ends, and spaces only in one token with a line end.
bool is_separator(std::string_view text, bool line_ended) {
  if (line_ended && !text.starts_with('\n')) return false;
  while (!text.empty()) {
    const auto known = std::find_if(std::begin(kSeparators), std::end(kSeparators),
                                    [&](auto each) { return text.starts_with(each); });
    if (known == std::end(kSeparators)) return false;
    line_ended = line_ended || *known == "\n";
    if (line_ended && *known != "\n" && *known != " " && *known != "\t") return false;
    text.remove_prefix(known->size());
  }
  return true;
}

}  // namespace

std::vector<int> ItemForm::mark_of(int number) const {
  std::vector<int> out;
  for (const Piece& piece : pieces_) {
    const auto spelled = piece.ids.empty()
                             ? texts_->spell(piece.before + std::to_string(number) + piece.after)
                             : piece.ids;
    out.insert(out.end(), spelled->begin(), spelled->end());
  }
  return out;
}

std::optional<ItemBegin> OpeningScanner::push(int token) {
  const std::string_view text = rules_.texts->text(token);
  if (closed_) {
    if (is_separator(text, line_.find('\n') != std::string::npos)) {
      tokens_.push_back({token, line_.size(), line_.size() + text.size(), true});
      line_ += text;
      return std::nullopt;
    }
    auto begun = begin_body(text);
    push_line_text(token, text);
    return begun;
  }
  const size_t before = line_.size();
  push_line_text(token, text);
  // A plain title is closed by what follows it: ": " by the body's first token.
  if (!closed_ || tokens_.back().begin != before || title_.close_end > before) return std::nullopt;
  if (is_separator(text, false)) return std::nullopt;
  const std::string rest = line_.substr(before);
  line_.resize(before);
  tokens_.pop_back();
  auto begun = begin_body(text);
  line_ += rest;
  return begun;
}

/// Adds a token's text to the line; a line end within it begins a new line.
void OpeningScanner::push_line_text(int token, std::string_view text) {
  size_t begin = line_.size();
  bool whole = true;
  for (size_t i = 0; i < text.size() && !closed_; ++i) {
    if (text[i] != '\n') {
      line_ += text[i];
      continue;
    }
    closed_ = !dead_ && read_mark(line_, mark_) == MarkMatch::kYes &&
              read_title(line_, mark_, true, title_) == MarkMatch::kYes;
    if (closed_) {
      line_ += text.substr(i);
      break;
    }
    end_line();
    begin = 0;
    whole = false;
  }
  if (line_.size() > begin) tokens_.push_back({token, begin, line_.size(), whole});
  if (dead_) return;
  if (!closed_) {
    const MarkMatch mark = read_mark(line_, mark_);
    if (mark == MarkMatch::kPossible) return;
    const MarkMatch title = mark == MarkMatch::kNo ? mark : read_title(line_, mark_, false, title_);
    dead_ = title == MarkMatch::kNo;
    closed_ = title == MarkMatch::kYes;
  }
  // The title's close and the body can't be one token.
  const auto rest = closed_ ? std::string_view(line_).substr(title_.close_end) : "";
  const bool cut = closed_ && begin < title_.close_end && !is_separator(rest, false);
  if (!cut && !lines_.in_code()) return;
  closed_ = false;
  dead_ = true;
}

void OpeningScanner::end_line() {
  const std::string_view line = std::string_view(line_).substr(0, line_.find('\n'));
  ItemMark mark;
  const MarkMatch match = read_mark(line, mark);
  if (match == MarkMatch::kYes) {
    if (!mark.numbered && !mark.row) seen_.insert(key_of(mark));
  } else if (match == MarkMatch::kNo) {
    lead_in_ = line;
    // A paragraph ends all lists but those whose items are sections.
    if (mark.indent == 0) {
      std::erase_if(
          seen_, [](const std::string& key) { return is_digit(key.front()) && key.back() != '#'; });
    }
  }
  after_table_rule_ = is_table_rule(line);
  for (char c : line_) lines_.push(c);
  if (line_.find('\n') == std::string::npos) lines_.push('\n');
  line_.clear();
  tokens_.clear();
  closed_ = dead_ = false;
}

std::optional<ItemBegin> OpeningScanner::begin_body(std::string_view body) {
  std::optional<ItemBegin> begun;
  if (!body.empty()) {
    begun.emplace();
    if (!read_form(begun->form, body)) begun.reset();
    if (begun) {
      begun->first = begins_list();
      begun->outlinable = outlinable(body);
    }
  }
  // The line goes on, unless the separator ended it.
  if (line_.find('\n') != std::string::npos)
    end_line();
  else
    dead_ = true;
  closed_ = false;
  return begun;
}

bool OpeningScanner::begins_list() const {
  if (mark_.row) return after_table_rule_;
  return mark_.numbered ? mark_.number <= 1 : !seen_.contains(key_of(mark_));
}

bool OpeningScanner::outlinable(std::string_view body) const {
  if (mark_.heading == 1) return false;  // the title of the whole answer
  if (line_.find('\n', title_.end) != std::string::npos) {
    // A list of names has no bodies: the next item follows at once.
    const char first = body.front();
    const bool plain = !mark_.bold && mark_.heading == 0;
    if (plain && first != ' ') return false;
    if (mark_.numbered && is_digit(first)) return false;
    if (first == mark_.bullet || (mark_.bold_lead() && body.starts_with("**"))) return false;
    if (first == '#' && static_cast<int>(body.find_first_not_of('#')) <= mark_.heading) {
      return false;
    }
  }
  const auto title = std::string_view(line_).substr(mark_.length, title_.end - mark_.length);
  return names_an_item(title) && rules_.independent(title) &&
         (mark_.heading > 0 || !rules_.is_procedure(lead_in_));
}

bool OpeningScanner::read_form(ItemForm& form, std::string_view body) const {
  form.mark = mark_;
  form.texts_ = rules_.texts.get();
  form.title = line_.substr(mark_.length, title_.end - mark_.length);
  form.separator = line_.substr(title_.end);
  const size_t line_end = form.separator.find('\n');
  const bool ends_line = line_end != std::string::npos;
  const char first = body.front();
  form.block = mark_.heading > 0 ||
               (ends_line && std::string_view(" \t-*+|`>").find(first) == std::string_view::npos &&
                !is_digit(first));
  const auto line_break = form.texts_->spell("\n");
  if (!line_break || !read_mark_pieces(form)) return false;
  form.line_break_ = *line_break;
  const auto at = std::find_if(tokens_.begin(), tokens_.end(),
                               [&](const LineToken& token) { return token.end > title_.end; });
  if (at != tokens_.end() && at->begin == title_.end && at->whole) {
    for (auto token = at; token != tokens_.end(); ++token) form.separator_ids_.push_back(token->id);
  } else {
    const auto spelled = form.texts_->spell(form.separator);
    if (!spelled) return false;
    form.separator_ids_ = *spelled;
  }
  if (!ends_line) {
    form.separator_on_line_ = form.separator_ids_;
    return true;
  }
  const auto on_line = form.texts_->spell(form.separator.substr(0, line_end));
  if (on_line) form.separator_on_line_ = *on_line;
  return on_line.has_value();
}

bool OpeningScanner::read_mark_pieces(ItemForm& form) const {
  const size_t digits = mark_.numbered ? line_.find_first_of("0123456789") : line_.size();
  size_t digits_end = digits;
  while (digits_end < line_.size() && is_digit(line_[digits_end])) ++digits_end;
  for (const LineToken& token : tokens_) {
    if (token.begin >= mark_.length) break;
    if (token.end > mark_.length) return false;  // mark and title in one token
    const std::string text = line_.substr(token.begin, token.end - token.begin);
    if (token.end <= digits || token.begin >= digits_end) {
      const auto ids = token.whole ? std::vector<int>{token.id} : form.texts_->spell(text);
      if (!ids) return false;
      form.pieces_.push_back({*ids, "", ""});
      continue;
    }
    // The number may be several tokens; the last one may go on behind it.
    const std::string before = token.begin < digits ? text.substr(0, digits - token.begin) : "";
    const std::string after = token.end > digits_end ? text.substr(digits_end - token.begin) : "";
    if (!form.pieces_.empty() && form.pieces_.back().ids.empty())
      form.pieces_.back().after = after;
    else
      form.pieces_.push_back({{}, before, after});
    if (!form.texts_->spell(before + "0123456789" + after)) return false;
  }
  return !form.pieces_.empty();
}

}  // namespace anabranch
