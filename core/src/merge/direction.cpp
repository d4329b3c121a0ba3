#include "merge/direction.hpp"

#include <algorithm>
#include <string_view>

#include "base/shell_words.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

// "./models/a/" -> "models/a".
std::string bare(std::string_view path) {
    while (path.starts_with("./")) path.remove_prefix(2);
    return withoutSlashes(path);
}

// Whether two paths can be the same place: one is the other, or its end, folder by folder.
bool samePlace(const std::string& one, const std::string& other) {
    std::string a = bare(one), b = bare(other);
    if (a.size() < b.size()) std::swap(a, b);
    return !b.empty() && a.ends_with(b) && (a.size() == b.size() || a[a.size() - b.size() - 1] == '/');
}

// 2: the name is the checkpoint's own; 1: of a file in its folder (its evidence), or the folder of it; 0: neither.
int closeness(const std::string& name, const std::string& path) {
    if (samePlace(name, path)) return 2;
    const std::string nameFolder = folderOf(std::string(bare(name))), pathFolder = folderOf(std::string(bare(path)));
    return samePlace(nameFolder, path) || samePlace(name, pathFolder) ||
                   (!nameFolder.empty() && samePlace(nameFolder, pathFolder))
               ? 1
               : 0;
}

}  // namespace

void checkDirection(const Alignment& gauge, const std::string& from, const std::string& to) {
    const auto fit = [](const Alignment::Side& side, const std::string& path) { return closeness(side.name, path); };
    const int forward = fit(gauge.source, from) + fit(gauge.target, to),
              backward = fit(gauge.source, to) + fit(gauge.target, from);
    if (backward > forward)
        throw Error(ErrorCode::usage, from,
                    "must be moved into the coordinates of " + to + ", and the gauge goes from " +
                        (gauge.source.name.empty() ? "?" : gauge.source.name) + " to " +
                        (gauge.target.name.empty() ? "?" : gauge.target.name) +
                        "; run regauge invert on it, or align " + shellWord(from) + " " + shellWord(to));
}

}  // namespace regauge
