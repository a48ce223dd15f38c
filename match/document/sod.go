package document

import (
	"errors"

	"gateagent/gate"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

func unsupported(err error) bool { return errors.Is(err, pki.ErrUnsupported) }

// SecurityObject judges EF.SOD and the document signer in it.
func (c *docCase) SecurityObject(raw []byte) []gate.Check {
	*c = docCase{at: c.at, trust: c.trust}
	hash, signature, err := c.openObject(raw)
	sod := rollUp(gate.CheckSOD, hash, signature)
	if err != nil { // empty or malformed, whatever its parts came to
		sod = check(gate.CheckSOD, gate.Failed, gate.CodeSODMalformed, err.Error())
	}
	c.sod = sod.Result
	checks := append([]gate.Check{hash, signature, sod}, c.trust.judgeSigner(c.at, c.signer)...)
	c.trusted = checks[3].Result
	return checks
}

// openObject reads EF.SOD and judges digest and signature. An error means that
// the object is malformed; parts that were judged before stay.
func (c *docCase) openObject(raw []byte) (hash, signature gate.Check, err error) {
	hash = check(gate.CheckSODHash, gate.Undetermined, gate.CodeSODMalformed, "")
	signature = check(gate.CheckSODSignature, gate.Undetermined, gate.CodeSODMalformed, "")
	der, err := lds.SignedObject(raw)
	if err != nil {
		return hash, signature, err
	}
	sd, err := pki.ParseSignedData(der)
	if err != nil {
		return hash, signature, err
	}
	hash, signature, c.signer, err = judgeMessage(sd)
	switch {
	case err != nil:
		return hash, signature, err
	case sd.ContentType != lds.OIDSecurityObject:
		return hash, signature, errors.New("the content is no security object")
	}
	c.object, err = lds.ParseSecurityObject(sd.Content)
	return hash, signature, err
}

// rollUp joins the parts of a group. The group carries the code of the first
// part that decides it.
func rollUp(id gate.CheckID, parts ...gate.Check) gate.Check {
	results := make([]gate.Result, len(parts))
	for i, p := range parts {
		results[i] = p.Result
	}
	all := check(id, gate.RollUp(results...), 0, "")
	for _, p := range parts {
		if p.Result == all.Result && all.Code == 0 {
			all.Code = p.Code
		}
	}
	return all
}
