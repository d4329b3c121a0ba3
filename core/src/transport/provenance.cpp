#include "transport/provenance.hpp"

namespace regauge {

std::string recordAfter(const std::string& record, const std::string& fingerprint, const std::string& inverse) {
    const std::size_t comma = record.rfind(',');
    const std::string last = comma == std::string::npos ? record : record.substr(comma + 1);
    if (!last.empty() && last == inverse) return comma == std::string::npos ? "" : record.substr(0, comma);
    return record.empty() ? fingerprint : record + "," + fingerprint;
}

std::string recordAfter(const std::string& record, const Gauge& gauge) {
    if (gauge.isIdentity()) return record;
    return recordAfter(record, gauge.fingerprint(), gauge.inverse().fingerprint());
}

}  // namespace regauge
