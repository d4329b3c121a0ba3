#include "regauge/first_row.hpp"

#include "base/short_list.hpp"
#include "evidence/readers.hpp"
#include "regauge/error.hpp"

namespace regauge {

FirstRow firstRow(const Files& files, const std::string& path, const std::string& tensor) {
    const auto file = std::make_shared<const TensorFile>(openTensorFile(files.open(path)));
    const StoredTensor* found = file->find(tensor);
    if (found == nullptr && file->tensors.size() == 1) found = &file->tensors.front();
    if (found == nullptr) {
        std::vector<std::string> names;
        for (const StoredTensor& one : file->tensors) names.push_back(one.info.name);
        throw Error(ErrorCode::usage, path,
                    (tensor.empty() ? "say which tensor" : "there is no tensor '" + tensor + "'") + "; it has " +
                        shortList(names));
    }
    const TensorRef ref{file, static_cast<std::size_t>(found - file->tensors.data())};
    const std::shared_ptr<const RowReader> rows = rowsOf(ref);
    std::vector<std::byte> bytes(rows->d() * byteSize(rows->dtype()));
    rows->read(0, 1, bytes);
    FirstRow row{found->info.name, found->info.shape, std::vector<float>(rows->d())};
    convertToFloat(bytes, rows->dtype(), row.values);
    return row;
}

}  // namespace regauge
