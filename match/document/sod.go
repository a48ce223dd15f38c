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
	m := c.openObject(raw)
	c.signer, c.remarks, c.value = m.signer, m.remarks, m.value
	hash := m.remarks.softenObject(m.hash, faultHash)
	signature := m.remarks.softenObject(m.signature, faultSignature)
	sod := rollUp(gate.CheckSOD, hash, signature)
	if m.err != nil { // empty or malformed, whatever its parts came to
		sod = m.remarks.softenObject(check(gate.CheckSOD, gate.Failed, gate.CodeSODMalformed, m.err.Error()), faultEncoding)
	}
	c.sod = sod.Result
	checks := append([]gate.Check{hash, signature, sod}, c.trust.judgeSigner(c.at, m)...)
	c.trusted = checks[3].Result
	return checks
}

// openObject reads EF.SOD and judges digest and signature. An error means that
// the object is malformed; parts that were judged before stay.
func (c *docCase) openObject(raw []byte) message {
	m := message{
		hash:      check(gate.CheckSODHash, gate.Undetermined, gate.CodeSODMalformed, ""),
		signature: check(gate.CheckSODSignature, gate.Undetermined, gate.CodeSODMalformed, ""),
	}
	der, err := lds.SignedObject(raw)
	if err != nil {
		m.err = err
		return m
	}
	sd, err := pki.ParseSignedData(der)
	if err != nil {
		m.err = err
		return m
	}
	m = c.trust.judgeMessage(sd)
	switch {
	case m.err != nil:
	case sd.ContentType != lds.OIDSecurityObject:
		m.err = errors.New("the content is no security object")
	default:
		c.object, m.err = lds.ParseSecurityObject(sd.Content)
	}
	return m
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
