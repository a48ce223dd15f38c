package doc

import (
	"math/big"

	"gateagent/internal/ber"
)

func bigInt(t ber.TLV) *big.Int { return new(big.Int).SetBytes(t.Value) }
