package document

import (
	"errors"

	"gateagent/gate"
	"gateagent/match/document/defect"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

// oidCardSecurity is the content type of EF.CardSecurity (id-SecurityObject,
// BSI TR-03110-3 appendix A.1.2.5; ICAO 9303-11 section 9.2.11).
const oidCardSecurity = "0.4.0.127.0.7.3.2.1"

// CardSecurity judges EF.CardSecurity: its signature by the rules of EF.SOD,
// its signer by those of a document signer, and both signers must be of one
// country. The revocation of the signer counts as it does for the document
// itself: only where a list names it. The SecurityInfos come only with S.
func (c *docCase) CardSecurity(raw []byte) ([]gate.Check, []byte) {
	c.cardInfos = nil
	result, content, err := c.openCardSecurity(raw)
	if err != nil { // empty or malformed, whatever its parts came to
		result = check(gate.CheckCardSecurity, gate.Failed, gate.CodeSODMalformed, err.Error())
		if c.remarks.first(defect.CardSecurity) != nil {
			result = soften(result, defect.CardSecurity)
		}
	}
	if result.Result != gate.Successful {
		return []gate.Check{result}, nil
	}
	c.cardInfos, err = lds.ParseSecurityInfos(content)
	if err != nil { // the issuer's own fault, as with a data group
		return []gate.Check{check(gate.CheckCardSecurity, gate.Undetermined, gate.CodeDGContent, err.Error())}, nil
	}
	c.held = append(c.held, raw)
	return []gate.Check{result}, content
}

// openCardSecurity judges signature and signer. An error means that the file
// is malformed.
func (c *docCase) openCardSecurity(raw []byte) (gate.Check, []byte, error) {
	const id = gate.CheckCardSecurity
	sd, err := pki.ParseSignedData(raw)
	if err != nil {
		return gate.Check{}, nil, err
	}
	m := c.trust.judgeMessage(sd)
	switch {
	case m.err != nil:
		return gate.Check{}, nil, m.err
	case sd.ContentType != oidCardSecurity:
		return gate.Check{}, nil, errors.New("the content is no set of security infos")
	}
	parts := []gate.Check{m.hash, m.signature, c.sameState(m.signer)}
	for _, p := range c.trust.judgeSigner(c.at, m) {
		switch {
		case p.ID == gate.CheckDS: // the roll-up of the others
		case p.ID == gate.CheckDSRevocation && p.Result != gate.Failed:
		default:
			parts = append(parts, p)
		}
	}
	all := rollUp(id, parts...)
	all.Detail = m.signature.Detail
	for _, p := range parts {
		if p.Result == all.Result && p.Result != gate.Successful {
			all.Detail = string(p.ID) + " " + p.Detail
			break
		}
	}
	return all, sd.Content, nil
}

// sameState compares the countries of the signers of EF.CardSecurity and
// EF.SOD: the key of one state must not vouch for the chip of another.
func (c *docCase) sameState(signer *pki.Certificate) gate.Check {
	const id = gate.CheckIssuer
	switch {
	case c.signer == nil || signer == nil:
		return check(id, gate.Undetermined, gate.CodeSODNoSigner, "")
	case country(c.signer) == "" || country(signer) == "":
		return check(id, gate.Undetermined, gate.CodeIssuerUnknown, "")
	case country(c.signer) != country(signer):
		return check(id, gate.Failed, gate.CodeIssuerMismatch, countryText(signer)+" against "+countryText(c.signer))
	}
	return check(id, gate.Successful, 0, "")
}
