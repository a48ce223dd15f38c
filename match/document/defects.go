package document

import (
	"slices"
	"time"

	"gateagent/gate"
	"gateagent/match/document/defect"
	"gateagent/match/document/pki"
)

// defectList is a defect list whose signature and signer are proven.
type defectList struct {
	list   *defect.List
	file   string
	signer *pki.Certificate
	at     time.Time // of signing, as the signer says; zero where it does not
}

// remarks is what proven defect lists say of one certificate.
type remarks []defect.Defect

// remarksOn gathers what every proven list says of a certificate. cert may be
// nil; raws are the encodings that it may have.
func (t *Trust) remarksOn(id pki.SignerID, cert *pki.Certificate, raws ...[]byte) remarks {
	var out remarks
	for _, l := range t.defects {
		if len(raws) == 0 {
			out = append(out, l.list.Says(id, cert, nil)...)
		}
		for _, raw := range raws {
			out = append(out, l.list.Says(id, cert, raw)...)
		}
	}
	return out
}

// first gives the first defect of a kind, nil where there is none.
func (r remarks) first(k defect.Kind) *defect.Defect {
	if i := slices.IndexFunc(r, func(d defect.Defect) bool { return d.Kind == k }); i >= 0 {
		return &r[i]
	}
	return nil
}

// doubtful are the status codes of a revocation that is not final (BSI
// TR-03135-1 table 5.54): on hold, inadequate, and those of private meaning.
func doubtful(status int) bool { return status == 1 || status == 5 || status >= 6 }

// distrust says what the lists think of trusting a certificate: S where they
// say nothing (BSI TR-03135-1 sections 5.8.2.1.1 and 5.8.2.3.4; of an unknown
// defect of the document TR-03129-2 section 7.3.3 says not to use the chip).
func (r remarks) distrust() (gate.Result, defect.Kind) {
	result, kind := gate.Successful, defect.Unknown
	for _, d := range r {
		switch {
		case d.Kind == defect.Revoked && !doubtful(d.Status):
			return gate.Failed, d.Kind
		case d.Kind == defect.Revoked, d.Kind == defect.SignerMalformed, d.Kind == defect.UnknownDocumentFault:
			result, kind = gate.Undetermined, d.Kind
		}
	}
	return result, kind
}

// revocation is ds.revocation where a list speaks of it.
func (r remarks) revocation() (gate.Check, bool) {
	const id = gate.CheckDSRevocation
	if r.first(defect.Revoked) == nil {
		return gate.Check{}, false
	}
	if result, _ := r.distrust(); result == gate.Failed {
		return check(id, gate.Failed, gate.CodeDSRevoked, "defect list"), true
	}
	return check(id, gate.Undetermined, gate.CodeDSDistrusted, "defect list: not final"), true
}

// distrust is ds.trust: what defect lists say of the signer and of its CSCA.
func (s *signerCase) distrust() gate.Check {
	const id = gate.CheckDSTrust
	issuer := s.issuer.cert
	result, kind := s.remarks.distrust()
	above, what := s.trust.remarksOn(pki.SignerID{}, issuer, issuer.Raw).distrust()
	switch {
	case result != gate.Failed && above == gate.Failed, result == gate.Successful && above != gate.Successful:
		return check(id, above, gate.CodeDSDistrusted, "CSCA: "+what.String())
	case result != gate.Successful:
		return check(id, result, gate.CodeDSDistrusted, kind.String())
	}
	return check(id, gate.Successful, 0, "")
}

// soften turns a failure into Undetermined where a list says that the state
// itself made its documents so: then it accuses nobody.
func soften(c gate.Check, because defect.Kind) gate.Check {
	if c.Result == gate.Failed {
		c.Result, c.Code, c.Detail = gate.Undetermined, gate.CodeDefect, because.String()
	}
	return c
}

// What the status of an invalid security object speaks of (SodFaultStatusCode,
// BSI TR-03129-2 section 7.3.2.2).
const (
	faultSignature = 1
	faultHash      = 2
	faultEncoding  = 3
)

// softenObject applies what the lists say of a signer's security objects to
// one of its checks (BSI TR-03135-1 section 5.8.2.2.2). A status that does
// not say what is wrong speaks of everything.
func (r remarks) softenObject(c gate.Check, fault int) gate.Check {
	for _, d := range r {
		named := d.Status >= faultSignature && d.Status <= 4
		if d.Kind == defect.ObjectInvalid && (!named || d.Status == fault) {
			return soften(c, d.Kind)
		}
	}
	return c
}

// failing says of which proofs a list expects failure (StatusCode of
// id-AuthenticationProtocolFailure, BSI TR-03129-2 section 7.3.1.5).
var failing = map[gate.CheckID][]int{
	gate.CheckChipAuth:   {0, 2, 4, 6},
	gate.CheckActiveAuth: {1, 2, 5, 6},
	gate.CheckPACECAM:    {3, 4, 5, 6},
}

// compromised says which keys a list may call known to others. The mapping's
// proof rests on a chip authentication key (ICAO 9303-11 section 4.4.3.3.3).
var compromised = map[gate.CheckID]defect.Kind{
	gate.CheckChipAuth:   defect.ChipAuthKeys,
	gate.CheckPACECAM:    defect.ChipAuthKeys,
	gate.CheckActiveAuth: defect.ActiveAuthKeys,
}

// ChipProof applies to a proof of the chip what defect lists say of the
// documents of its signer (BSI TR-03135-1 sections 5.8.2.1.3 to 5.8.2.1.5): a
// proof with compromised keys proves nothing and is F, one that is known to
// fail is no accusation.
func (c *docCase) ChipProof(p gate.Check) gate.Check {
	kind := compromised[p.ID]
	if kind != defect.Unknown && c.remarks.first(kind) != nil &&
		(p.Result == gate.Successful || p.Result == gate.Undetermined) {
		return check(p.ID, gate.Failed, gate.CodeProofKeyRevoked, kind.String())
	}
	for _, d := range c.remarks {
		if d.Kind == defect.ProtocolFailure && slices.Contains(failing[p.ID], d.Status) {
			return soften(p, d.Kind)
		}
	}
	return p
}

// signerPool holds document signers of the trust folder, for documents that
// do not carry theirs.
type signerPool struct {
	byID  map[string]*pki.Certificate // issuer and serial number
	byKey map[string]*pki.Certificate
}

func poolKey(issuer pki.Name, serial []byte) string { return issuer.Key + "\x02" + string(serial) }

func (p *signerPool) add(c *pki.Certificate) {
	if p.byID == nil {
		p.byID, p.byKey = map[string]*pki.Certificate{}, map[string]*pki.Certificate{}
	}
	p.byID[poolKey(c.Issuer, c.Serial)] = c
	if id := c.KeyID(); len(id) > 0 {
		p.byKey[string(id)] = c
	}
}

func (p *signerPool) find(id pki.SignerID) *pki.Certificate {
	if id.KeyID != nil {
		return p.byKey[string(id.KeyID)]
	}
	return p.byID[poolKey(id.Issuer, id.Serial)]
}
