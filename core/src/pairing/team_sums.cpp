#include "pairing/team_sums.hpp"

#include "base/sha256.hpp"

namespace regauge {

std::string agreedWord(const SitePair& pair, const QuantizerPair& quantizers) {
    Sha256 hash;
    const std::uint64_t rows = pair.known().end;
    hash.update(std::as_bytes(std::span(&rows, 1)));
    for (const Quantizer* side : {&quantizers.x, &quantizers.y}) {
        hash.update(std::as_bytes(std::span(side->centre)));
        hash.update(std::as_bytes(std::span(side->step)));
        hash.update(std::as_bytes(std::span(&side->rowLimit, 1)));
    }
    return hash.hex();
}

void sumTogether(Team& team, const std::string& where, const std::string& site,
                 const std::function<std::string()>& sumShare, const std::function<void(const SumAtFirst&)>& reduce) {
    std::string mine;
    together(team, [&] { mine = sumShare(); });
    requireAgreement(team, mine, where, site);
    reduce([&](std::span<std::int64_t> values) { team.sumAtFirst(values); });
}

}  // namespace regauge
