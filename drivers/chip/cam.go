package chip

import (
	"context"

	"gateagent/gate"
)

const stepCAM = "chip authentication mapping"

// ProveMapping judges the proof that came with the chip authentication
// mapping (ICAO 9303-11 section 4.4.3.5).
func (s *Session) ProveMapping(context.Context, []byte) (string, error) {
	return "", fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCAM, 0, nil)
}
