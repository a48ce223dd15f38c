package document

import "gateagent/gate"

// CardSecurity judges EF.CardSecurity (ICAO 9303-11 section 9.2.11). Nothing
// of it is proven here.
func (c *docCase) CardSecurity([]byte) ([]gate.Check, []byte) {
	return []gate.Check{check(gate.CheckCardSecurity, gate.Undetermined, gate.CodeProofAlgorithm, "")}, nil
}
