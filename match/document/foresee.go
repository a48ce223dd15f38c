package document

import (
	"maps"
	"slices"

	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

// Foresee names the data groups that EF.SOD lists, as it stands: unproven. The
// case keeps nothing of it.
func (c *docCase) Foresee(raw []byte) []int {
	der, err := lds.SignedObject(raw)
	if err != nil {
		return nil
	}
	sd, err := pki.ParseSignedData(der)
	if err != nil || sd.ContentType != lds.OIDSecurityObject {
		return nil
	}
	object, err := lds.ParseSecurityObject(sd.Content)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(object.Hashes))
}
