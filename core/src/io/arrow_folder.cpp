#include <algorithm>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "io/arrow.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

constexpr std::string_view endings[] = {".arrow", ".feather"};
constexpr std::string_view arrays[] = {".npy", ".npz", ".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".gguf"};
constexpr const char* stateFile = "state.json";          // of a table that datasets saved: its files
constexpr const char* splitsFile = "dataset_dict.json";  // of several tables, each in a folder of its own

// What datasets keeps beside a table (cache-*.arrow) is none of its files.
bool isTable(const std::string& name) {
    return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); }) &&
           !name.starts_with("cache-");
}

nlohmann::json jsonIn(const Files& files, const std::string& path) {
    return parseJson(readJsonText(*files.open(path), "a list of files"), path);
}

// A list of texts, or of objects that have one under `key`. Throws Error(malformed) for anything else, for names that
// lead elsewhere, and for one that is there twice.
std::vector<std::string> namesIn(const nlohmann::json& list, const char* key, const std::string& where) {
    std::vector<std::string> names;
    if (list.is_array())
        for (const nlohmann::json& one : list) {
            const auto text = one.is_object() && one.contains(key) ? one.find(key).value() : one;
            if (!text.is_string()) break;
            names.push_back(text.get<std::string>());
        }
    if (!list.is_array() || names.size() != list.size() || !std::ranges::all_of(names, isPlainName))
        throw Error(ErrorCode::malformed, where, "expected a list of names beside it; save the dataset again");
    std::set<std::string_view> seen;
    for (const std::string& name : names)
        if (!seen.insert(name).second)
            throw Error(ErrorCode::malformed, where, "names " + name + " twice; save the dataset again");
    return names;
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }

// "data-2.arrow" before "data-10.arrow": digits compare as the numbers they write.
bool numbersBefore(std::string_view a, std::string_view b) {
    const auto digits = [&](std::string_view& text) {
        const auto end = std::ranges::find_if_not(text, isDigit);
        std::string_view run = text.substr(0, static_cast<std::size_t>(end - text.begin()));
        text.remove_prefix(run.size());
        run.remove_prefix(std::min(run.find_first_not_of('0'), run.size()));
        return run;
    };
    while (!a.empty() && !b.empty()) {
        if (isDigit(a.front()) && isDigit(b.front())) {
            const std::string_view x = digits(a), y = digits(b);
            if (x.size() != y.size()) return x.size() < y.size();
            if (x != y) return x < y;
        } else {
            if (a.front() != b.front()) return a.front() < b.front();
            a.remove_prefix(1), b.remove_prefix(1);
        }
    }
    return a.size() < b.size();
}

// "data-00000-of-00003.arrow" is of three. Throws Error(missingFile) where there are fewer.
void requireAll(const std::vector<std::string>& names, const std::string& folder) {
    const std::size_t of = names.front().rfind("-of-");
    if (of == std::string::npos) return;
    std::size_t count = 0;
    std::from_chars(names.front().data() + of + 4, names.front().data() + names.front().size(), count);
    if (names.size() < count)
        throw Error(ErrorCode::missingFile, folder,
                    "has " + std::to_string(names.size()) + " of the " + std::to_string(count) + " files that " +
                        names.front() + " names; fetch the others");
}

// One table's files differ in their numbers. Throws Error(ambiguous) for others, as the splits of a dataset are in the
// cache of datasets: NAME-train.arrow beside NAME-test.arrow.
void requireOne(const std::vector<std::string>& names, const std::string& folder) {
    constexpr std::size_t mostShown = 8;
    std::set<std::string> tables;
    std::string shown;
    for (const std::string& name : names) {
        std::string table = name;
        std::erase_if(table, isDigit);
        if (!tables.insert(std::move(table)).second) continue;
        if (tables.size() <= mostShown) shown += (shown.empty() ? "" : ", ") + name;
    }
    if (tables.size() > 1)
        throw Error(ErrorCode::ambiguous, folder,
                    "holds several tables: " + shown + (tables.size() > mostShown ? ", ..." : "") + "; give one file");
}

// The files of a table, in order.
std::vector<std::string> filesOf(const Files& files, const std::string& folder) {
    const std::string state = joinPath(folder, stateFile);
    if (files.exists(state)) {
        const nlohmann::json json = jsonIn(files, state);
        if (json.is_object() && json.contains("_data_files")) return namesIn(json["_data_files"], "filename", state);
    }
    std::vector<std::string> names = files.list(folder);
    std::erase_if(names, std::not_fn(isTable));
    std::ranges::stable_sort(names, numbersBefore);
    requireOne(names, folder);
    if (!names.empty()) requireAll(names, folder);
    return names;
}

// The folder of the only split.
std::string splitOf(const Files& files, const std::string& folder) {
    const std::string path = joinPath(folder, splitsFile);
    if (!files.exists(path)) return folder;
    const nlohmann::json json = jsonIn(files, path);
    const auto splits = namesIn(json.is_object() && json.contains("splits") ? json["splits"] : json, "name", path);
    if (splits.size() == 1) return joinPath(folder, splits.front());
    std::string all;
    for (const std::string& split : splits) all += (all.empty() ? "" : ", ") + joinPath(folder, split);
    throw Error(ErrorCode::ambiguous, folder, "is a dataset of several splits; give the folder of one: " + all);
}

}  // namespace

bool looksLikeArrowFolder(const Files& files, const std::string& folder) {
    if (files.exists(joinPath(folder, splitsFile))) return true;
    const std::vector<std::string> names = files.list(folder);
    const auto isArray = [](const std::string& name) {
        return std::ranges::any_of(arrays, [&](std::string_view one) { return name.ends_with(one); });
    };
    return std::ranges::any_of(names, isTable) && std::ranges::none_of(names, isArray);
}

TensorFile openArrowFolder(const Files& files, const std::string& given) {
    const std::string folder = splitOf(files, given);
    std::vector<std::shared_ptr<const ByteSource>> sources;
    for (const std::string& name : filesOf(files, folder)) {
        const std::string path = joinPath(folder, name);
        if (!files.exists(path))
            throw Error(ErrorCode::missingFile, path,
                        "is named by " + std::string(stateFile) + " and not there; fetch it into the same folder");
        sources.push_back(files.open(path));
    }
    if (sources.empty())
        throw Error(ErrorCode::missingFile, folder, "has no .arrow file of the dataset that it says it is");
    return openArrows(sources, folder);
}

}  // namespace regauge
